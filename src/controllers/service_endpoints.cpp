#include "controllers/service_endpoints.hpp"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "api/conditions.hpp"
#include "api/owners.hpp"
#include "api/services.hpp"

namespace podlab::controllers {
namespace {

using corev1::Endpoints;
using corev1::Service;
using discoveryv1::Endpoint;
using discoveryv1::EndpointPort;
using discoveryv1::EndpointSlice;
using google::protobuf::util::MessageDifferencer;

constexpr int kMaxAddresses = 1000;
constexpr const char* kHeadlessLabel = "service.kubernetes.io/headless";
constexpr const char* kOverCapacity = "endpoints.kubernetes.io/over-capacity";

/// The number of a service's port on the pod; nullopt when its name is none of the pod's.
std::optional<std::int32_t> portOn(const corev1::Pod& pod, const corev1::ServicePort& port) {
  const auto& target = port.targetport();
  if (target.type() == 0) return target.intval();
  const auto find = [&](const auto& containers) -> std::optional<std::int32_t> {
    for (const auto& container : containers) {
      for (const auto& declared : container.ports()) {
        if (declared.name() == target.strval() && declared.protocol() == port.protocol())
          return declared.containerport();
      }
    }
    return std::nullopt;
  };
  if (auto found = find(pod.spec().containers())) return found;
  return find(pod.spec().initcontainers());
}

std::string addressOf(const corev1::Pod& pod, std::string_view family) {
  for (const auto& each : pod.status().podips()) {
    const bool v6 = each.ip().find(':') != std::string::npos;
    if (v6 == (family == "IPv6")) return each.ip();
  }
  return "";
}

/// Slices of the same ports have the same key.
template <typename Ports>
std::string portsKey(const Ports& ports) {
  std::vector<std::string> keys;
  for (const auto& port : ports) keys.push_back(port.SerializeAsString());
  std::ranges::sort(keys);
  std::string key;
  for (const auto& each : keys) key += std::to_string(each.size()) + ":" + each;
  return key;
}

/// An endpoint is that of a pod, which its address may outlive.
std::string identityOf(const Endpoint& endpoint) {
  return endpoint.targetref().uid() + "/" + endpoint.addresses(0);
}

EndpointSlice newSlice(const Service& service, std::string_view family) {
  EndpointSlice slice;
  auto& metadata = *slice.mutable_metadata();
  metadata.set_generatename(service.metadata().name() + "-");
  metadata.set_namespace_(service.metadata().namespace_());
  *metadata.add_ownerreferences() = api::controllerReference(service);
  slice.set_addresstype(std::string(family));
  return slice;
}

void setLabels(const Service& service, metav1::ObjectMeta& metadata) {
  *metadata.mutable_labels() = service.metadata().labels();
  if (api::isHeadless(service)) (*metadata.mutable_labels())[kHeadlessLabel] = "";
}

void setSliceLabels(const Service& service, EndpointSlice& slice) {
  setLabels(service, *slice.mutable_metadata());
  auto& labels = *slice.mutable_metadata()->mutable_labels();
  labels[api::kServiceNameLabel] = service.metadata().name();
  labels[kManagedByLabel] = kSliceController;
}

/// The wanted endpoints of one set of ports.
struct Group {
  std::vector<EndpointPort> ports;
  std::map<std::string, Endpoint> endpoints;  ///< by identity; those that have no slice yet
};

}  // namespace

std::optional<PodEndpoint> endpointOf(const Service& service, const corev1::Pod& pod,
                                      std::string_view family, const std::string& zone) {
  const std::string address = addressOf(pod, family);
  if (address.empty() || api::isFinished(pod)) return std::nullopt;
  const bool terminating = pod.metadata().has_deletiontimestamp();
  const bool serving = api::isTrue(pod.status(), "Ready");
  const bool always = service.spec().publishnotreadyaddresses();
  PodEndpoint made;
  made.endpoint.add_addresses(address);
  auto& conditions = *made.endpoint.mutable_conditions();
  conditions.set_ready(always || (serving && !terminating));
  conditions.set_serving(serving);
  conditions.set_terminating(terminating);
  if (!pod.spec().nodename().empty()) made.endpoint.set_nodename(pod.spec().nodename());
  if (!zone.empty()) made.endpoint.set_zone(zone);
  if (!pod.spec().hostname().empty() && pod.spec().subdomain() == service.metadata().name())
    made.endpoint.set_hostname(pod.spec().hostname());
  auto& target = *made.endpoint.mutable_targetref();
  target.set_kind("Pod");
  target.set_namespace_(pod.metadata().namespace_());
  target.set_name(pod.metadata().name());
  target.set_uid(pod.metadata().uid());
  for (const auto& port : service.spec().ports()) {
    const auto number = portOn(pod, port);
    if (!number) continue;
    EndpointPort& added = made.ports.emplace_back();
    added.set_name(port.name());
    added.set_protocol(port.protocol());
    added.set_port(*number);
    if (port.has_appprotocol()) added.set_appprotocol(port.appprotocol());
  }
  return made;
}

SliceChanges planSlices(const Service& service, std::string_view family,
                        std::vector<PodEndpoint> endpoints,
                        const std::vector<EndpointSlice>& existing) {
  std::map<std::string, Group> groups;
  for (auto& each : endpoints) {
    Group& group = groups[portsKey(each.ports)];
    group.ports = each.ports;
    group.endpoints.emplace(identityOf(each.endpoint), std::move(each.endpoint));
  }
  // First every endpoint that has a slice stays there.
  std::vector<EndpointSlice> next;
  for (const auto& slice : existing) {
    EndpointSlice kept = slice;
    kept.clear_endpoints();
    setSliceLabels(service, kept);
    if (const auto group = groups.find(portsKey(slice.ports())); group != groups.end()) {
      for (const auto& endpoint : slice.endpoints()) {
        if (endpoint.addresses().empty()) continue;
        const auto wanted = group->second.endpoints.extract(identityOf(endpoint));
        if (!wanted.empty()) *kept.add_endpoints() = wanted.mapped();
      }
    }
    next.push_back(std::move(kept));
  }
  // Then the others fill slices up, and new ones.
  SliceChanges changes;
  for (auto& [key, group] : groups) {
    auto at = group.endpoints.begin();
    const auto fill = [&](EndpointSlice& slice) {
      for (; at != group.endpoints.end() && slice.endpoints_size() < kMaxEndpointsPerSlice; ++at)
        *slice.add_endpoints() = at->second;
    };
    for (auto& slice : next) {
      const bool empty = slice.endpoints().empty();
      if (!empty && portsKey(slice.ports()) != key) continue;
      if (at == group.endpoints.end()) break;
      if (empty) slice.mutable_ports()->Assign(group.ports.begin(), group.ports.end());
      fill(slice);
    }
    while (at != group.endpoints.end()) {
      EndpointSlice& slice = changes.create.emplace_back(newSlice(service, family));
      setSliceLabels(service, slice);
      slice.mutable_ports()->Assign(group.ports.begin(), group.ports.end());
      fill(slice);
    }
  }
  bool any = !changes.create.empty() || std::ranges::any_of(next, [](const auto& slice) {
    return slice.endpoints_size() > 0;
  });
  for (std::size_t i = 0; i < next.size(); ++i) {
    if (next[i].endpoints().empty()) {
      // One stays as a sign that the service has none.
      if (any) {
        changes.remove.push_back(existing[i]);
        continue;
      }
      any = true;
      next[i].clear_ports();
    }
    if (!MessageDifferencer::Equals(next[i], existing[i]))
      changes.update.push_back(std::move(next[i]));
  }
  if (!any) {
    EndpointSlice& slice = changes.create.emplace_back(newSlice(service, family));
    setSliceLabels(service, slice);
  }
  return changes;
}

Endpoints endpointsObject(const Service& service, const std::vector<PodEndpoint>& endpoints) {
  Endpoints made;
  auto& metadata = *made.mutable_metadata();
  metadata.set_name(service.metadata().name());
  metadata.set_namespace_(service.metadata().namespace_());
  setLabels(service, metadata);
  std::map<std::string, corev1::EndpointSubset> subsets;
  std::vector<const PodEndpoint*> sorted;
  for (const auto& each : endpoints) {
    const auto& conditions = each.endpoint.conditions();
    if (!conditions.terminating() || conditions.ready()) sorted.push_back(&each);
  }
  std::ranges::sort(sorted, {}, [](const PodEndpoint* each) {
    return std::tie(each->endpoint.addresses(0), each->endpoint.targetref().uid());
  });
  if (sorted.size() > kMaxAddresses) {
    sorted.resize(kMaxAddresses);
    (*metadata.mutable_annotations())[kOverCapacity] = "truncated";
  }
  for (const PodEndpoint* each : sorted) {
    corev1::EndpointSubset& subset = subsets[portsKey(each->ports)];
    if (subset.ports().empty()) {
      for (const auto& port : each->ports) {
        corev1::EndpointPort& added = *subset.add_ports();
        added.set_name(port.name());
        added.set_port(port.port());
        added.set_protocol(port.protocol());
        if (port.has_appprotocol()) added.set_appprotocol(port.appprotocol());
      }
    }
    const auto& endpoint = each->endpoint;
    auto& address =
        endpoint.conditions().ready() ? *subset.add_addresses() : *subset.add_notreadyaddresses();
    address.set_ip(endpoint.addresses(0));
    address.set_hostname(endpoint.hostname());
    if (endpoint.has_nodename()) address.set_nodename(endpoint.nodename());
    *address.mutable_targetref() = endpoint.targetref();
  }
  for (auto& [key, subset] : subsets) *made.add_subsets() = std::move(subset);
  return made;
}

}  // namespace podlab::controllers
