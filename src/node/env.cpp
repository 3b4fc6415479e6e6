#include "node/env.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

namespace podlab::node {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Collects the variables that a pod defines.
class VariableBuilder {
 public:
  VariableBuilder(const corev1::Pod& pod, const corev1::Container& container,
                  const PodEnvironment& environment, const ObjectLookup& objects)
      : pod_(pod), container_(container), environment_(environment), objects_(objects) {}

  Status run() {
    addApiServer();
    for (const auto& source : container_.envfrom()) {
      Status added = source.has_configmapref()
                         ? addAll<corev1::ConfigMap>(source.configmapref(), source.prefix())
                         : addAll<corev1::Secret>(source.secretref(), source.prefix());
      if (!added.ok()) return added;
    }
    for (const auto& variable : container_.env()) {
      auto value = valueOf(variable);
      if (!value.ok()) return value.status();
      if (*value) variables_[variable.name()] = **std::move(value);
    }
    return {};
  }

  Variables takeVariables() { return std::move(variables_); }

 private:
  /// As kubelet tells of the service "kubernetes"; in-cluster clients read these.
  void addApiServer() {
    const auto colon = environment_.apiServer.rfind(':');
    if (colon == std::string::npos) return;
    std::string host = environment_.apiServer.substr(0, colon);
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    const std::string port = environment_.apiServer.substr(colon + 1);
    variables_["KUBERNETES_SERVICE_HOST"] = host;
    variables_["KUBERNETES_SERVICE_PORT"] = port;
    variables_["KUBERNETES_SERVICE_PORT_HTTPS"] = port;
  }

  using Value = std::optional<std::string>;  ///< nullopt: optional, and not there

  /// nullptr: not there, and optional.
  template <typename T>
  Result<std::shared_ptr<const T>> find(const std::string& name, bool optional) const {
    auto object = objects_(api::kindFor<T>(), name);
    if (object.ok()) return api::share<T>(*object);
    if (optional && object.status().is(Code::kNotFound)) return std::shared_ptr<const T>();
    return object.status();
  }

  template <typename T, typename Reference>
  Status addAll(const Reference& reference, const std::string& prefix) {
    const std::string& name = reference.localobjectreference().name();
    auto object = find<T>(name, reference.optional());
    if (!object.ok()) return object.status();
    if (*object == nullptr) return {};
    // Whatever is a key of a ConfigMap or Secret is also the name of a variable.
    for (const auto& [key, value] : (*object)->data()) variables_[prefix + key] = value;
    return {};
  }

  template <typename T, typename Reference>
  Result<Value> keyOf(const Reference& reference, const char* kind) const {
    const std::string& name = reference.localobjectreference().name();
    auto object = find<T>(name, reference.optional());
    if (!object.ok()) return object.status();
    if (*object == nullptr) return Value();
    const auto found = (*object)->data().find(reference.key());
    if (found != (*object)->data().end()) return Value(found->second);
    if (reference.optional()) return Value();
    return Status(Code::kNotFound, "couldn't find key " + reference.key() + " in " + kind + " " +
                                       pod_.metadata().namespace_() + "/" + name);
  }

  Result<Value> valueOf(const corev1::EnvVar& variable) const {
    if (!variable.has_valuefrom()) return Value(expand(variable.value(), variables_));
    const auto& from = variable.valuefrom();
    if (from.has_configmapkeyref())
      return keyOf<corev1::ConfigMap>(from.configmapkeyref(), "ConfigMap");
    if (from.has_secretkeyref()) return keyOf<corev1::Secret>(from.secretkeyref(), "Secret");
    auto value =
        from.has_resourcefieldref()
            ? resourceFieldValue(pod_, from.resourcefieldref(), container_.name(), environment_)
            : fieldRefValue(pod_, from.fieldref().fieldpath(), environment_);
    if (!value.ok()) return value.status().withContext("env \"" + variable.name() + "\"");
    return Value(*std::move(value));
  }

  const corev1::Pod& pod_;
  const corev1::Container& container_;
  const PodEnvironment& environment_;
  const ObjectLookup& objects_;
  Variables variables_;
};

}  // namespace

std::string expand(std::string_view text, const Variables& variables) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    std::size_t close = text[i + 1] == '(' ? text.find(')', i + 2) : std::string_view::npos;
    if (close == std::string_view::npos) {
      out += text[i];
      continue;
    }
    auto it = variables.find(text.substr(i + 2, close - i - 2));
    out += it != variables.end() ? std::string_view(it->second) : text.substr(i, close - i + 1);
    i = close;
  }
  return out;
}

Result<Program> buildProgram(const corev1::Pod& pod, const corev1::Container& container,
                             const Image& image, const PodEnvironment& environment,
                             const ObjectLookup& objects) {
  Variables all;
  for (const auto& entry : image.env) {
    auto equals = entry.find('=');
    if (equals != std::string::npos) all[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  all.try_emplace("PATH", kDefaultPath);
  all["HOSTNAME"] = environment.hostname;

  // $(NAME) sees the variables of the pod alone, not the image's.
  VariableBuilder builder(pod, container, environment, objects);
  if (Status built = builder.run(); !built.ok()) return built;
  const Variables defined = builder.takeVariables();
  for (const auto& [name, value] : defined) all[name] = value;

  Program program;
  const auto expanded = [&defined](const std::string& text) { return expand(text, defined); };
  auto out = std::back_inserter(program.argv);
  if (container.command_size() > 0) {
    std::ranges::transform(container.command(), out, expanded);
  } else {
    std::ranges::copy(image.entrypoint, out);
  }
  if (container.args_size() > 0) {
    std::ranges::transform(container.args(), out, expanded);
  } else if (container.command_size() == 0) {
    std::ranges::copy(image.command, out);
  }
  if (program.argv.empty()) {
    return Status(Code::kInvalid, "no command: image \"" + image.reference +
                                      "\" names none; set command or args of container \"" +
                                      container.name() + "\"");
  }
  for (const auto& [name, value] : all) program.env.push_back(name + "=" + value);
  program.workingDir = !container.workingdir().empty() ? container.workingdir()
                       : !image.workingDir.empty()     ? image.workingDir
                                                       : "/";
  program.variables = defined;
  return program;
}

}  // namespace podlab::node
