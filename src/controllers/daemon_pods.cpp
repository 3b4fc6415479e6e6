#include "controllers/daemon_pods.hpp"

#include <algorithm>

#include "api/conditions.hpp"
#include "api/selectors.hpp"
#include "api/taints.hpp"
#include "controllers/controller_history.hpp"
#include "controllers/owned_pods.hpp"

namespace podlab::controllers {
namespace {

constexpr const char* kNodeName = "metadata.name";
constexpr std::string_view kNetworkUnavailable = "node.kubernetes.io/network-unavailable";

void tolerate(corev1::PodSpec& spec, std::string_view key, std::string_view effect) {
  corev1::Toleration wanted;
  wanted.set_key(std::string(key));
  wanted.set_operator_("Exists");
  wanted.set_effect(std::string(effect));
  for (auto& present : *spec.mutable_tolerations()) {
    if (present.key() == wanted.key() && present.effect() == wanted.effect() &&
        present.operator_() == wanted.operator_()) {
      present = wanted;
      return;
    }
  }
  *spec.add_tolerations() = wanted;
}

/// The newest pods by kind of one node, those on their way out left aside.
struct NodePods {
  PodPtr updated;
  PodPtr old;
  bool clear = true;  ///< at most one of each
};

NodePods podsOn(const DaemonRollout& rollout, const std::vector<PodPtr>& pods) {
  NodePods found;
  for (const auto& pod : pods) {
    if (pod->metadata().has_deletiontimestamp()) continue;
    PodPtr& slot = rollout.isUpdated(*pod) ? found.updated : found.old;
    if (slot != nullptr) found.clear = false;
    slot = pod;
  }
  return found;
}

/// The first of those that may, as many as are allowed.
template <typename T>
void takeAllowed(std::vector<T>& to, std::vector<T> candidates, std::int32_t allowed) {
  const auto count = std::min(candidates.size(), static_cast<std::size_t>(std::max(allowed, 0)));
  to.insert(to.end(), candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count));
}

DaemonChanges rollWithSurge(const DaemonRollout& rollout, const DaemonsByNode& pods) {
  DaemonChanges changes;
  std::vector<std::string> candidates;
  std::int32_t surging = 0;
  for (const auto& [node, all] : pods) {
    const NodePods found = podsOn(rollout, all);
    if (!found.clear) {
      ++surging;
    } else if (found.old == nullptr) {
      continue;
    } else if (found.updated == nullptr) {
      (rollout.isAvailable(*found.old) ? candidates : changes.nodes).push_back(node);
    } else if (rollout.isAvailable(*found.updated)) {
      changes.remove.push_back(found.old);
    } else {
      ++surging;
    }
  }
  takeAllowed(changes.nodes, std::move(candidates), rollout.maxSurge - surging);
  return changes;
}

}  // namespace

corev1::Pod daemonPod(const appsv1::DaemonSet& set, const std::string& node,
                      const std::string& hash) {
  corev1::Pod pod = podOf(set.spec().template_(), set);
  if (!hash.empty()) (*pod.mutable_metadata()->mutable_labels())[kRevisionHash] = hash;
  corev1::PodSpec& spec = *pod.mutable_spec();
  tolerate(spec, api::kTaintNotReady, api::kNoExecute);
  tolerate(spec, api::kTaintUnreachable, api::kNoExecute);
  for (const auto key : {api::kTaintDiskPressure, api::kTaintMemoryPressure, api::kTaintPidPressure,
                         api::kTaintUnschedulable})
    tolerate(spec, key, api::kNoSchedule);
  if (spec.hostnetwork()) tolerate(spec, kNetworkUnavailable, api::kNoSchedule);

  auto& required = *spec.mutable_affinity()
                        ->mutable_nodeaffinity()
                        ->mutable_requiredduringschedulingignoredduringexecution();
  required.clear_nodeselectorterms();
  auto& field = *required.add_nodeselectorterms()->add_matchfields();
  field.set_key(kNodeName);
  field.set_operator_("In");
  field.add_values(node);
  return pod;
}

Eligibility eligibility(const corev1::Pod& daemon, const corev1::Node& node) {
  const std::string& name = daemon.spec().nodename();
  if (!name.empty() && name != node.metadata().name()) return {};
  if (!api::podAllowsNode(daemon.spec(), node)) return {};
  const auto& taints = node.spec().taints();
  const auto& tolerations = daemon.spec().tolerations();
  const bool fits =
      api::firstUntolerated(taints, tolerations, api::kNoSchedule, api::kNoExecute) == nullptr;
  const bool stays =
      api::firstUntolerated(taints, tolerations, api::kNoExecute, api::kNoExecute) == nullptr;
  return {fits, stays};
}

std::string nodeFor(const corev1::Pod& pod) {
  if (!pod.spec().nodename().empty()) return pod.spec().nodename();
  const auto& required =
      pod.spec().affinity().nodeaffinity().requiredduringschedulingignoredduringexecution();
  for (const auto& term : required.nodeselectorterms()) {
    for (const auto& field : term.matchfields()) {
      if (field.key() == kNodeName && field.operator_() == "In" && field.values_size() == 1)
        return field.values(0);
    }
  }
  return "";
}

bool DaemonRollout::isAvailable(const corev1::Pod& pod) const {
  const auto since = availableSince(pod, minReadySeconds);
  return since && (minReadySeconds == 0 || *since <= now);
}

bool DaemonRollout::isUpdated(const corev1::Pod& pod) const {
  const auto found = pod.metadata().labels().find(kRevisionHash);
  return found != pod.metadata().labels().end() && found->second == hash;
}

DaemonChanges rollDaemons(const DaemonRollout& rollout, const DaemonsByNode& pods) {
  if (rollout.maxSurge > 0) return rollWithSurge(rollout, pods);
  DaemonChanges changes;
  std::vector<PodPtr> candidates;
  std::int32_t unavailable = 0;
  for (const auto& [node, all] : pods) {
    const NodePods found = podsOn(rollout, all);
    if (!found.clear || (found.old == nullptr) == (found.updated == nullptr)) {
      // There is a pod to be made or deleted first.
      ++unavailable;
    } else if (found.updated != nullptr) {
      if (!rollout.isAvailable(*found.updated)) ++unavailable;
    } else if (rollout.isAvailable(*found.old)) {
      candidates.push_back(found.old);
    } else {
      // Nothing is lost with it.
      changes.remove.push_back(found.old);
      ++unavailable;
    }
  }
  takeAllowed(changes.remove, std::move(candidates), rollout.maxUnavailable - unavailable);
  return changes;
}

std::vector<PodPtr> excessDaemons(const DaemonRollout& rollout, std::vector<PodPtr> running) {
  if (running.size() <= 1) return {};
  if (rollout.maxSurge == 0) return {running.begin() + 1, running.end()};
  PodPtr updated, old;
  std::vector<PodPtr> excess;
  for (const auto& pod : running) {
    PodPtr& slot = rollout.isUpdated(*pod) ? updated : old;
    if (slot == nullptr) {
      slot = pod;
    } else {
      excess.push_back(pod);
    }
  }
  if (updated == nullptr || old == nullptr) return excess;
  if (rollout.isAvailable(*updated) || !api::isTrue(old->status(), "Ready")) excess.push_back(old);
  return excess;
}

}  // namespace podlab::controllers
