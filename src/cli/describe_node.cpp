#include <cstdio>

#include "api/age.hpp"
#include "api/conditions.hpp"
#include "api/pod_resources.hpp"
#include "api/times.hpp"
#include "cli/describe_object.hpp"

namespace podlab::cli {
namespace {

constexpr std::string_view kRolePrefix = "node-role.kubernetes.io/";

std::string rolesOf(const corev1::Node& node) {
  std::string roles;
  for (const auto& [key, value] : sorted(node.metadata().labels())) {
    if (key.starts_with(kRolePrefix) && key.size() > kRolePrefix.size())
      roles += (roles.empty() ? "" : ",") + key.substr(kRolePrefix.size());
  }
  return roles.empty() ? "<none>" : roles;
}

std::string taintsOf(const corev1::Node& node) {
  std::string taints;
  for (const auto& taint : node.spec().taints()) {
    taints += (taints.empty() ? "" : "\n") + taint.key() +
              (taint.value().empty() ? "" : "=" + taint.value()) + ":" + taint.effect();
  }
  return taints.empty() ? "<none>" : taints;
}

/// "250m (12%)" of what the node has.
std::string share(const api::ResourceList& used, const std::string& name,
                  const api::ResourceList& allocatable) {
  const auto amount = used.find(name);
  const api::Quantity value = amount == used.end() ? api::Quantity() : amount->second;
  const auto total = allocatable.find(name);
  std::int64_t percent = 0;
  if (total != allocatable.end() && !total->second.isZero()) {
    percent = static_cast<std::int64_t>(static_cast<double>(value.milliValue()) * 100 /
                                        static_cast<double>(total->second.milliValue()));
  }
  return value.toString() + " (" + std::to_string(percent) + "%)";
}

void addLease(Description& out, const coordinationv1::Lease* lease) {
  out.line(0, {"Lease:"});
  const auto time = [](const metav1::MicroTime& value) {
    return api::isSet(value) ? formatDate(api::toWallTime(value)) : std::string("<unset>");
  };
  if (!lease) {
    out.field(1, "HolderIdentity", "<none>");
    return;
  }
  const auto& spec = lease->spec();
  out.field(1, "HolderIdentity", spec.has_holderidentity() ? spec.holderidentity() : "<unset>");
  out.field(1, "AcquireTime", time(spec.acquiretime()));
  out.field(1, "RenewTime", time(spec.renewtime()));
}

void addAmounts(Description& out, const char* title, const api::ResourceMap& amounts) {
  if (amounts.empty()) return;
  out.line(0, {title});
  for (const auto& [name, amount] : sorted(amounts)) out.field(1, name, amount.string());
}

void addPods(Description& out, const corev1::Node& node, const Pods& pods, WallTime now) {
  const api::ResourceList allocatable = api::toResourceList(
      node.status().allocatable().empty() ? node.status().capacity() : node.status().allocatable());
  api::ResourceList requests, limits;
  Pods live;
  for (const auto& pod : pods) {
    if (!api::isFinished(*pod)) live.push_back(pod);
  }
  out.field(0, "Non-terminated Pods", "(" + std::to_string(live.size()) + " in total)");
  out.header(1, {"Namespace", "Name", "", "CPU Requests", "CPU Limits", "Memory Requests",
                 "Memory Limits", "Age"});
  for (const auto& pod : live) {
    const auto asked = api::podRequests(*pod), allowed = api::podLimits(*pod);
    for (const auto& [name, amount] : asked) requests[name] += amount;
    for (const auto& [name, amount] : allowed) limits[name] += amount;
    out.line(1, {pod->metadata().namespace_(), pod->metadata().name(), "",
                 share(asked, "cpu", allocatable), share(allowed, "cpu", allocatable),
                 share(asked, "memory", allocatable), share(allowed, "memory", allocatable),
                 api::ageOf(pod->metadata().creationtimestamp(), now)});
  }
  out.line(0, {"Allocated resources:"});
  out.line(1, {"(Total limits may be over 100 percent, i.e., overcommitted.)"});
  out.header(1, {"Resource", "Requests", "Limits"});
  for (const char* name : {"cpu", "memory", "ephemeral-storage"})
    out.line(1, {name, share(requests, name, allocatable), share(limits, name, allocatable)});
}

}  // namespace

Description describeNode(const corev1::Node& node, const Pods& pods,
                         const coordinationv1::Lease* lease, WallTime now) {
  const auto& status = node.status();
  Description out;
  out.field(0, "Name", node.metadata().name());
  out.field(0, "Roles", rolesOf(node));
  out.pairs(0, "Labels", node.metadata().labels());
  out.annotations(0, "Annotations", node.metadata().annotations());
  out.field(0, "CreationTimestamp", formatDate(node.metadata().creationtimestamp()));
  out.field(0, "Taints", taintsOf(node));
  out.field(0, "Unschedulable", node.spec().unschedulable() ? "true" : "false");
  addLease(out, lease);
  if (!status.conditions().empty()) {
    out.line(0, {"Conditions:"});
    out.header(1,
               {"Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"});
    for (const auto& condition : status.conditions()) {
      out.line(1, {condition.type() + " ", condition.status() + " ",
                   formatDate(condition.lastheartbeattime()) + " ",
                   formatDate(condition.lasttransitiontime()) + " ", condition.reason() + " ",
                   condition.message()});
    }
  }
  out.line(0, {"Addresses:"});
  for (const auto& address : status.addresses()) out.field(1, address.type(), address.address());
  addAmounts(out, "Capacity:", status.capacity());
  addAmounts(out, "Allocatable:", status.allocatable());
  const auto& info = status.nodeinfo();
  out.line(0, {"System Info:"});
  out.field(1, "Machine ID", info.machineid());
  out.field(1, "System UUID", info.systemuuid());
  out.field(1, "Boot ID", info.bootid());
  out.field(1, "Kernel Version", info.kernelversion());
  out.field(1, "OS Image", info.osimage());
  out.field(1, "Operating System", info.operatingsystem());
  out.field(1, "Architecture", info.architecture());
  out.field(1, "Container Runtime Version", info.containerruntimeversion());
  out.field(1, "Kubelet Version", info.kubeletversion());
  out.field(1, "Kube-Proxy Version", info.kubeproxyversion());
  if (!node.spec().podcidr().empty()) out.field(0, "PodCIDR", node.spec().podcidr());
  if (!node.spec().podcidrs().empty())
    out.field(0, "PodCIDRs", joined(node.spec().podcidrs(), ","));
  addPods(out, node, pods, now);
  return out;
}

}  // namespace podlab::cli
