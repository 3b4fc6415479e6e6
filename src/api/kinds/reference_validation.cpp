#include <cctype>

#include "api/kinds/pod_parts.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

/// The divisors of a kind of resource, and how Kubernetes names that kind.
struct Divisors {
  std::vector<std::string_view> values;
  std::string_view list;
  std::string_view kind;
};

Divisors divisorsOf(std::string_view resource) {
  if (resource.ends_with(".cpu")) return {{"1m", "1"}, "1m and 1", "cpu"};
  const bool memory = resource.ends_with(".memory");
  return {{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"},
          "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei",
          memory ? "memory" : "local ephemeral storage"};
}

}  // namespace

void validateFieldRef(const corev1::ObjectFieldSelector& field,
                      std::span<const std::string_view> paths, const FieldPath& path,
                      FieldErrors& errors) {
  const std::string& text = field.fieldpath();
  if (field.apiversion() != "v1") {
    errors.invalid(path.child("apiVersion"), field.apiversion(), "must be v1");
    return;
  }
  if (text.empty()) {
    errors.required(path.child("fieldPath"));
    return;
  }
  const std::size_t open = text.find("['");
  if (open == std::string::npos || !text.ends_with("']")) {
    if (std::ranges::find(paths, text) == paths.end())
      errors.notSupported(path.child("fieldPath"), text, paths);
    return;
  }
  const std::string subject = text.substr(0, open);
  std::string key = text.substr(open + 2, text.size() - open - 4);
  if (subject == "metadata.annotations") {
    std::ranges::transform(key, key.begin(), [](unsigned char c) { return std::tolower(c); });
  } else if (subject != "metadata.labels") {
    errors.invalid(path, subject, "does not support subscript");
    return;
  }
  errors.invalidEach(path, key, faultsOfQualifiedName(key));
}

void validateResourceFieldRef(const corev1::ResourceFieldSelector& reference, const FieldPath& path,
                              FieldErrors& errors) {
  constexpr std::string_view kResources[] = {
      "limits.cpu",   "limits.ephemeral-storage",   "limits.memory",
      "requests.cpu", "requests.ephemeral-storage", "requests.memory"};
  const std::string& resource = reference.resource();
  if (resource.empty()) {
    errors.required(path.child("resource"));
    return;
  }
  if (std::ranges::find(kResources, resource) == std::end(kResources)) {
    errors.notSupported(path.child("resource"), resource, kResources);
    return;
  }
  const auto divisor = Quantity::parse(reference.divisor());
  if (!reference.has_divisor() || (divisor && divisor->isZero())) return;
  const Divisors allowed = divisorsOf(resource);
  const bool known = divisor && std::ranges::any_of(allowed.values, [&](std::string_view value) {
                       return *divisor == *Quantity::parse(value);
                     });
  if (known) return;
  errors.invalid(path.child("divisor"), resource,
                 "only divisor's values " + std::string(allowed.list) + " are supported with the " +
                     std::string(allowed.kind) + " resource");
}

}  // namespace podlab::api
