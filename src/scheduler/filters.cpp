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
  if (api::tolerates(pod.shape->spec.tolerations(), taint)) return {};
  return {"node(s) were unschedulable"};
}

Reasons taintToleration(const PodInfo& pod, const NodeInfo& node) {
  const auto* taint =
      api::firstUntolerated(node.node()->spec().taints(), pod.shape->spec.tolerations(),
                            api::kNoSchedule, api::kNoExecute);
  if (!taint) return {};
  return {"node(s) had untolerated taint {" + taint->key() + ": " + taint->value() + "}"};
}

Reasons nodeAffinity(const PodInfo& pod, const NodeInfo& node) {
  if (api::podAllowsNode(pod.shape->spec, *node.node())) return {};
  return {"node(s) didn't match Pod's node affinity/selector"};
}

Reasons nodePorts(const PodInfo& pod, const NodeInfo& node) {
  const auto& wantedPorts = pod.shape->hostPorts;
  if (wantedPorts.empty()) return {};
  for (const auto& other : node.pods()) {
    for (const auto& used : other->shape->hostPorts) {
      const bool taken = std::ranges::any_of(
          wantedPorts, [&](const HostPort& wanted) { return wanted.conflictsWith(used); });
      if (taken) return {"node(s) didn't have free ports for the requested pod ports"};
    }
  }
  return {};
}

Reasons nodeResourcesFit(const PodInfo& pod, const NodeInfo& node) {
  Reasons reasons;
  if (static_cast<std::int64_t>(node.pods().size()) + 1 > node.allocatablePods())
    reasons.push_back("Too many pods");
  const Resources& requests = pod.shape->requests;
  const auto lacks = [](std::int64_t wanted, std::int64_t allocatable, std::int64_t used) {
    return wanted > 0 && wanted > allocatable - used;
  };
  const auto& allocatable = node.allocatable();
  const auto& used = node.requested();
  if (lacks(requests.cpuMilli, allocatable.cpuMilli, used.cpuMilli))
    reasons.push_back("Insufficient cpu");
  if (lacks(requests.memoryBytes, allocatable.memoryBytes, used.memoryBytes))
    reasons.push_back("Insufficient memory");
  const auto amountOf = [](const std::map<std::string, std::int64_t>& amounts,
                           const std::string& name) {
    const auto it = amounts.find(name);
    return it == amounts.end() ? 0 : it->second;
  };
  for (const auto& [name, wanted] : requests.others) {
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
    {"NodeUnschedulable", nodeUnschedulable, false}, {"TaintToleration", taintToleration, false},
    {"NodeAffinity", nodeAffinity, false},           {"NodePorts", nodePorts, true},
    {"NodeResourcesFit", nodeResourcesFit, true},    {"VolumeBinding", volumeBinding, false},
};

}  // namespace

std::span<const Filter> filters() {
  return kFilters;
}

Rejection runFilters(const PodInfo& pod, const NodeInfo& node) {
  for (const auto& filter : kFilters) {
    if (auto reasons = filter.reject(pod, node); !reasons.empty())
      return {filter.name, std::move(reasons), filter.resolvable};
  }
  return {};
}

}  // namespace podlab::scheduler
