#include "scheduler/filters.hpp"

#include <algorithm>

#include "api/selectors.hpp"
#include "api/taints.hpp"

namespace podlab::scheduler {
namespace {

using Reasons = std::vector<std::string>;

Reasons nodeUnschedulable(const PodInfo& pod, const NodeInfo& node) {
  if (!node.node()->spec().unschedulable()) return {};
  corev1::Taint taint;
  taint.set_key(std::string(api::kTaintUnschedulable));
  taint.set_effect(std::string(api::kNoSchedule));
  if (api::tolerates(pod.pod->spec().tolerations(), taint)) return {};
  return {"node(s) were unschedulable"};
}

Reasons nodeName(const PodInfo& pod, const NodeInfo& node) {
  const std::string& wanted = pod.pod->spec().nodename();
  if (wanted.empty() || wanted == node.node()->metadata().name()) return {};
  return {"node(s) didn't match the requested node name"};
}

Reasons taintToleration(const PodInfo& pod, const NodeInfo& node) {
  const auto* taint =
      api::firstUntolerated(node.node()->spec().taints(), pod.pod->spec().tolerations(),
                            api::kNoSchedule, api::kNoExecute);
  if (!taint) return {};
  return {"node(s) had untolerated taint {" + taint->key() + ": " + taint->value() + "}"};
}

Reasons nodeAffinity(const PodInfo& pod, const NodeInfo& node) {
  if (api::podAllowsNode(pod.pod->spec(), *node.node())) return {};
  return {"node(s) didn't match Pod's node affinity/selector"};
}

Reasons nodePorts(const PodInfo& pod, const NodeInfo& node) {
  if (pod.hostPorts.empty()) return {};
  for (const auto& [key, other] : node.pods()) {
    for (const auto& used : other->hostPorts) {
      const bool taken =
          std::any_of(pod.hostPorts.begin(), pod.hostPorts.end(),
                      [&](const HostPort& wanted) { return wanted.conflictsWith(used); });
      if (taken) return {"node(s) didn't have free ports for the requested pod ports"};
    }
  }
  return {};
}

Reasons nodeResourcesFit(const PodInfo& pod, const NodeInfo& node) {
  Reasons reasons;
  if (static_cast<std::int64_t>(node.pods().size()) + 1 > node.allocatablePods())
    reasons.push_back("Too many pods");
  const auto lacks = [](std::int64_t wanted, std::int64_t allocatable, std::int64_t used) {
    return wanted > 0 && wanted > allocatable - used;
  };
  const auto& allocatable = node.allocatable();
  const auto& used = node.requested();
  if (lacks(pod.requests.cpuMilli, allocatable.cpuMilli, used.cpuMilli))
    reasons.push_back("Insufficient cpu");
  if (lacks(pod.requests.memoryBytes, allocatable.memoryBytes, used.memoryBytes))
    reasons.push_back("Insufficient memory");
  const auto amountOf = [](const std::map<std::string, std::int64_t>& amounts,
                           const std::string& name) {
    const auto it = amounts.find(name);
    return it == amounts.end() ? 0 : it->second;
  };
  for (const auto& [name, wanted] : pod.requests.others) {
    if (lacks(wanted, amountOf(allocatable.others, name), amountOf(used.others, name)))
      reasons.push_back("Insufficient " + name);
  }
  return reasons;
}

Reasons volumeBinding(const PodInfo& pod, const NodeInfo& node) {
  if (!pod.volumes.blocked.empty()) return {pod.volumes.blocked};
  const auto allows = [&node](const corev1::NodeSelector& selector) {
    return api::matchesNodeSelector(selector, *node.node());
  };
  if (!std::ranges::all_of(pod.volumes.affinities, allows))
    return {"node(s) had volume node affinity conflict"};
  const auto hasPlace = [&](const UnboundClaim& claim) {
    return claim.anywhere || std::ranges::any_of(claim.places, allows);
  };
  if (std::ranges::all_of(pod.volumes.unbound, hasPlace)) return {};
  return {"node(s) didn't find available persistent volumes to bind"};
}

constexpr Filter kFilters[] = {
    {"NodeUnschedulable", nodeUnschedulable},
    {"NodeName", nodeName},
    {"TaintToleration", taintToleration},
    {"NodeAffinity", nodeAffinity},
    {"NodePorts", nodePorts},
    {"NodeResourcesFit", nodeResourcesFit},
    {"VolumeBinding", volumeBinding},
};

}  // namespace

std::span<const Filter> filters() {
  return kFilters;
}

Rejection runFilters(const PodInfo& pod, const NodeInfo& node) {
  for (const auto& filter : kFilters) {
    if (auto reasons = filter.reject(pod, node); !reasons.empty())
      return {filter.name, std::move(reasons)};
  }
  return {};
}

}  // namespace podlab::scheduler
