#include "policy/pod_index.hpp"

#include <utility>

namespace podlab::policy {
namespace {

PodClass classFor(const corev1::Pod& pod) {
  PodClass made;
  made.ns = pod.metadata().namespace_();
  made.labels = pod.metadata().labels();
  for (const corev1::ContainerPort* port : portsOf(pod)) {
    if (port->name().empty()) continue;
    made.ports.push_back({port->name(), protocolOf(port->protocol()),
                          static_cast<std::uint16_t>(port->containerport())});
  }
  return made;
}

/// Neither names nor values have line breaks.
std::string keyOf(const PodClass& pods) {
  const std::map<std::string, std::string> sorted(pods.labels.begin(), pods.labels.end());
  std::string key = pods.ns + "\n";
  for (const auto& [label, value] : sorted) key += label + "=" + value + "\n";
  for (const NamedPort& port : pods.ports) {
    key += port.name + ":" + std::string(protocolName(port.protocol)) +
           std::to_string(port.number) + "\n";
  }
  return key;
}

}  // namespace

api::ObjectPtr slimPod(const corev1::Pod& pod) {
  auto slim = std::make_shared<corev1::Pod>();
  auto& metadata = *slim->mutable_metadata();
  metadata.set_name(pod.metadata().name());
  metadata.set_namespace_(pod.metadata().namespace_());
  metadata.set_uid(pod.metadata().uid());
  metadata.set_resourceversion(pod.metadata().resourceversion());
  *metadata.mutable_labels() = pod.metadata().labels();
  if (pod.spec().hostnetwork()) slim->mutable_spec()->set_hostnetwork(true);
  for (const corev1::ContainerPort* port : portsOf(pod)) {
    if (port->name().empty()) continue;
    auto& containers = *slim->mutable_spec()->mutable_containers();
    auto& kept = *(containers.empty() ? containers.Add() : containers.Mutable(0))->add_ports();
    kept.set_name(port->name());
    kept.set_protocol(port->protocol());
    kept.set_containerport(port->containerport());
  }
  // The other phases are all the same here.
  if (!isSelectable(pod) && !pod.spec().hostnetwork()) {
    slim->mutable_status()->set_phase(pod.status().phase());
  }
  if (pod.status().podips_size() > 0) {
    *slim->mutable_status()->mutable_podips() = pod.status().podips();
  }
  return slim;
}

bool sameForPolicies(const corev1::Pod& a, const corev1::Pod& b) {
  return keyOf(classFor(a)) == keyOf(classFor(b)) && isSelectable(a) == isSelectable(b) &&
         addressesOf(a) == addressesOf(b);
}

void PodIndex::put(const corev1::Pod& pod, std::vector<net::IpAddress> addresses, bool local) {
  const std::string& uid = pod.metadata().uid();
  PodClass wanted = classFor(pod);
  const std::string key = keyOf(wanted);
  if (const auto known = classOf_.find(uid);
      known != classOf_.end() && known->second->first == key) {
    PodClass& present = known->second->second;
    auto& member = present.members[uid];
    present.locals += (local ? 1 : 0);
    present.locals -= (member.local ? 1 : 0);
    member = {std::move(addresses), local};
    return;
  }
  erase(uid);
  const auto found = classes_.try_emplace(key, std::move(wanted)).first;
  found->second.members[uid] = {std::move(addresses), local};
  if (local) ++found->second.locals;
  classOf_[uid] = found;
}

void PodIndex::erase(const std::string& uid) {
  const auto known = classOf_.find(uid);
  if (known == classOf_.end()) return;
  const auto at = known->second;
  classOf_.erase(known);
  const auto member = at->second.members.find(uid);
  if (member->second.local) --at->second.locals;
  at->second.members.erase(member);
  if (at->second.members.empty()) classes_.erase(at);
}

}  // namespace podlab::policy
