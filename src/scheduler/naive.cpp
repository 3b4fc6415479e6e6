#include "scheduler/naive.hpp"

#include <algorithm>
#include <set>

#include "scheduler/topology.hpp"

namespace podlab::scheduler {
std::string Diagnosis::toString() const {
  // Upstream's ErrNoNodesAvailable.
  if (nodes == 0) return "no nodes available to schedule pods";
  std::string text = "0/" + std::to_string(nodes) + " nodes are available";
  // Upstream sorts the counted texts, not the reasons.
  std::set<std::string> parts;
  if (!blocked.empty()) parts.insert(blocked);
  for (const auto& [reason, count] : reasons) parts.insert(std::to_string(count) + " " + reason);
  const char* separator = ": ";
  for (const auto& part : parts) {
    text += separator + part;
    separator = ", ";
  }
  return text + "." + (preemption.empty() ? "" : " preemption: " + preemption);
}

PodFilter::PodFilter(const PodInfo& pod, const Snapshot& snapshot)
    : pod_(&pod), topology_(pod, snapshot) {
  if (pod.volumes.exclusive.empty()) return;
  for (Snapshot::Slot slot = 0; slot < snapshot.slots(); ++slot)
    claimHolders_ += std::ranges::count_if(
        snapshot.at(slot).pods(), [this](const auto& other) { return takesItsClaim(*other); });
}

/// Whether the other pod uses a claim that this one may only have to itself (kube-scheduler's
/// VolumeRestrictions).
bool PodFilter::takesItsClaim(const PodInfo& other) const {
  const auto& exclusive = pod_->volumes.exclusive;
  return other.key != pod_->key &&
         std::ranges::any_of(other.claims, [&exclusive](const std::string& claim) {
           return std::ranges::find(exclusive, claim) != exclusive.end();
         });
}

void PodFilter::count(const PodInfo& other, const NodeInfo& node, int difference) {
  topology_.count(other, node, difference);
  if (takesItsClaim(other)) claimHolders_ += difference;
}

Rejection PodFilter::reject(const NodeInfo& node) const {
  if (Rejection rejection = runFilters(*pod_, node); !rejection.filter.empty()) return rejection;
  return rejectOverNodes(node);
}

Rejection PodFilter::rejectOverNodes(const NodeInfo& node) const {
  if (claimHolders_ > 0) {
    return {"VolumeRestrictions",
            {"node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod "
             "access mode"},
            true};
  }
  const auto rejection = topology_.reject(node);
  if (rejection.filter.empty()) return {};
  return {rejection.filter, {std::string(rejection.reason)}, rejection.resolvable};
}

std::vector<NodeVerdict> filterNodes(const PodInfo& pod, const Snapshot& snapshot) {
  const PodFilter filter(pod, snapshot);
  std::vector<NodeVerdict> verdicts;
  verdicts.reserve(snapshot.nodeCount());
  for (Snapshot::Slot slot = 0; slot < snapshot.slots(); ++slot) {
    const NodeInfo& node = snapshot.at(slot);
    if (node.node() != nullptr) verdicts.push_back({slot, filter.reject(node)});
  }
  return verdicts;
}

Diagnosis diagnose(const PodInfo& pod, const Snapshot& snapshot,
                   const std::vector<NodeVerdict>& verdicts) {
  Diagnosis diagnosis;
  diagnosis.nodes = snapshot.nodeCount();
  diagnosis.blocked = pod.volumes.blocked;
  if (!diagnosis.blocked.empty()) return diagnosis;
  for (const auto& verdict : verdicts) {
    for (const auto& reason : verdict.rejection.reasons) ++diagnosis.reasons[reason];
  }
  return diagnosis;
}

Choice chooseAmong(const PodInfo& pod, const Snapshot& snapshot,
                   const std::vector<NodeVerdict>& verdicts, Snapshot::Slot cursor,
                   ResourceScoring resources) {
  Choice best;
  best.diagnosis = diagnose(pod, snapshot, verdicts);
  if (!best.diagnosis.blocked.empty()) return best;
  std::vector<Snapshot::Slot> feasible;
  for (const auto& verdict : verdicts) {
    if (verdict.passes()) feasible.push_back(verdict.slot);
  }
  const auto scores = scoreNodes(pod, snapshot, feasible, resources);
  bool bestAfterCursor = false;
  for (std::size_t i = 0; i < feasible.size(); ++i) {
    const std::int64_t score = scores[i].total();
    const bool afterCursor = feasible[i] >= cursor;
    if (!best.found() || score > best.score ||
        (score == best.score && afterCursor && !bestAfterCursor)) {
      best.slot = feasible[i];
      best.score = score;
      bestAfterCursor = afterCursor;
    }
  }
  return best;
}

Choice chooseNaively(const PodInfo& pod, const Snapshot& snapshot, Snapshot::Slot cursor,
                     ResourceScoring resources) {
  return chooseAmong(pod, snapshot, filterNodes(pod, snapshot), cursor, resources);
}

}  // namespace podlab::scheduler
