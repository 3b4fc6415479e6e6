#include "node/downward_api.hpp"

#include <map>
#include <optional>

#include "api/field_errors.hpp"

namespace podlab::node {
namespace {

std::string join(const std::vector<std::string>& parts) {
  std::string joined;
  for (const auto& part : parts) {
    if (!joined.empty()) joined += ',';
    joined += part;
  }
  return joined;
}

std::string firstOf(const std::vector<std::string>& parts) {
  return parts.empty() ? std::string() : parts.front();
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

template <typename Map>
std::string linesOf(const Map& map) {
  const std::map<std::string, std::string> sorted(map.begin(), map.end());
  std::string text;
  for (const auto& [key, value] : sorted) {
    text += (text.empty() ? "" : "\n") + key + "=" + api::quoted(value);
  }
  return text;
}

const corev1::Container* findContainer(const corev1::PodSpec& spec, const std::string& name) {
  for (const auto* list : {&spec.containers(), &spec.initcontainers()}) {
    for (const auto& container : *list) {
      if (container.name() == name) return &container;
    }
  }
  return nullptr;
}

/// `amount` over `divisor` (both in the same unit), rounded up.
std::string divide(std::int64_t amount, std::int64_t divisor) {
  if (divisor <= 0) divisor = 1;
  return std::to_string(amount / divisor + (amount % divisor > 0 ? 1 : 0));
}

}  // namespace

Result<std::string> fieldRefValue(const corev1::Pod& pod, std::string_view path,
                                  const PodEnvironment& environment) {
  const auto& metadata = pod.metadata();
  if (path == "metadata.name") return metadata.name();
  if (path == "metadata.namespace") return metadata.namespace_();
  if (path == "metadata.uid") return metadata.uid();
  if (path == "metadata.labels") return linesOf(metadata.labels());
  if (path == "metadata.annotations") return linesOf(metadata.annotations());
  if (auto key = subscript(path, "metadata.labels")) return valueOrEmpty(metadata.labels(), *key);
  if (auto key = subscript(path, "metadata.annotations"))
    return valueOrEmpty(metadata.annotations(), *key);
  if (path == "spec.nodeName") return pod.spec().nodename();
  if (path == "spec.serviceAccountName") return pod.spec().serviceaccountname();
  if (path == "status.podIP") return firstOf(environment.podIps);
  if (path == "status.podIPs") return join(environment.podIps);
  if (path == "status.hostIP") return firstOf(environment.hostIps);
  if (path == "status.hostIPs") return join(environment.hostIps);
  return Status(Code::kInvalid, "fieldRef.fieldPath \"" + std::string(path) +
                                    "\" is not supported; use metadata.name, metadata.namespace, "
                                    "metadata.uid, metadata.labels, metadata.labels['KEY'], "
                                    "metadata.annotations, metadata.annotations['KEY'], "
                                    "spec.nodeName, spec.serviceAccountName, status.podIP, "
                                    "status.podIPs, status.hostIP or status.hostIPs");
}

Result<std::string> resourceFieldValue(const corev1::Pod& pod,
                                       const corev1::ResourceFieldSelector& reference,
                                       const std::string& container,
                                       const PodEnvironment& environment) {
  const std::string& name =
      reference.containername().empty() ? container : reference.containername();
  const auto* found = findContainer(pod.spec(), name);
  if (found == nullptr) return Status(Code::kInvalid, "container " + name + " not found");
  const std::string& resource = reference.resource();
  const auto dot = resource.find('.');
  const std::string kind = resource.substr(0, dot);
  if (dot == std::string::npos || (kind != "limits" && kind != "requests"))
    return Status(Code::kInvalid, "unsupported container resource : " + resource);
  const std::string what = resource.substr(dot + 1);
  const auto& amounts =
      kind == "limits" ? found->resources().limits() : found->resources().requests();
  api::Quantity amount;
  if (auto set = amounts.find(what); set != amounts.end()) {
    amount = api::Quantity::read(set->second);
  } else if (kind == "limits") {
    auto all = environment.allocatable.find(what);
    if (all != environment.allocatable.end()) amount = all->second;
  }
  const api::Quantity divisor = api::Quantity::read(reference.divisor());
  if (what == "cpu") {
    return divide(amount.milliValue(), divisor.isZero() ? 1000 : divisor.milliValue());
  }
  return divide(amount.value(), divisor.value());
}

}  // namespace podlab::node
