#include "node/env.hpp"

#include <algorithm>
#include <iterator>
#include <optional>

namespace podlab::node {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string join(const std::vector<std::string>& parts) {
  std::string joined;
  for (const auto& part : parts) {
    if (!joined.empty()) joined += ',';
    joined += part;
  }
  return joined;
}

/// The key of "PREFIX['KEY']".
std::optional<std::string> subscript(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  if (path.size() < 4 || !path.starts_with("['") || !path.ends_with("']")) return std::nullopt;
  return std::string(path.substr(2, path.size() - 4));
}

template <typename Map>
std::string valueOrEmpty(const Map& map, const std::string& key) {
  auto it = map.find(key);
  return it == map.end() ? std::string() : it->second;
}

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

Result<std::string> fieldRefValue(const corev1::Pod& pod, std::string_view path,
                                  const PodEnvironment& environment) {
  const auto& metadata = pod.metadata();
  if (path == "metadata.name") return metadata.name();
  if (path == "metadata.namespace") return metadata.namespace_();
  if (path == "metadata.uid") return metadata.uid();
  if (auto key = subscript(path, "metadata.labels")) return valueOrEmpty(metadata.labels(), *key);
  if (auto key = subscript(path, "metadata.annotations"))
    return valueOrEmpty(metadata.annotations(), *key);
  if (path == "spec.nodeName") return pod.spec().nodename();
  if (path == "spec.serviceAccountName") return pod.spec().serviceaccountname();
  if (path == "status.podIP")
    return environment.podIps.empty() ? std::string() : environment.podIps.front();
  if (path == "status.podIPs") return join(environment.podIps);
  if (path == "status.hostIP" || path == "status.hostIPs") return environment.hostIp;
  return Status(Code::kInvalid, "fieldRef.fieldPath \"" + std::string(path) +
                                    "\" is not supported; use metadata.name, metadata.namespace, "
                                    "metadata.uid, metadata.labels['KEY'], "
                                    "metadata.annotations['KEY'], spec.nodeName, "
                                    "spec.serviceAccountName, status.podIP, status.podIPs "
                                    "or status.hostIP");
}

Result<Program> buildProgram(const corev1::Pod& pod, const corev1::Container& container,
                             const Image& image, const PodEnvironment& environment) {
  Variables all;
  for (const auto& entry : image.env) {
    auto equals = entry.find('=');
    if (equals != std::string::npos) all[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  all.try_emplace("PATH", kDefaultPath);
  all["HOSTNAME"] = environment.hostname;

  // $(NAME) sees the variables of the pod alone, not the image's.
  Variables defined;
  for (const auto& variable : container.env()) {
    std::string value;
    if (!variable.has_valuefrom()) {
      value = expand(variable.value(), defined);
    } else if (variable.valuefrom().has_fieldref()) {
      auto field = fieldRefValue(pod, variable.valuefrom().fieldref().fieldpath(), environment);
      if (!field.ok()) return field.status().withContext("env \"" + variable.name() + "\"");
      value = *std::move(field);
    } else {
      return Status(Code::kInvalid,
                    "env \"" + variable.name() + "\": valueFrom supports fieldRef only");
    }
    all[variable.name()] = value;
    defined[variable.name()] = std::move(value);
  }

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
  return program;
}

}  // namespace podlab::node
