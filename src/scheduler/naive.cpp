#include "scheduler/naive.hpp"

#include <algorithm>
#include <set>

#include "scheduler/topology.hpp"

namespace podlab::scheduler {
namespace {

/// Whether a pod that has a node uses a claim that this one may only have to itself
/// (kube-scheduler's VolumeRestrictions).
bool lacksExclusiveClaim(const PodInfo& pod, const Snapshot& snapshot) {
  if (pod.volumes.exclusive.empty()) return false;
  const auto conflicts = [&pod](const std::shared_ptr<const PodInfo>& other) {
    return other->key != pod.key &&
           std::ranges::any_of(other->claims, [&pod](const std::string& claim) {
             return std::ranges::find(pod.volumes.exclusive, claim) != pod.volumes.exclusive.end();
           });
  };
  for (Snapshot::Slot slot = 0; slot < snapshot.slots(); ++slot) {
    if (std::ranges::any_of(snapshot.at(slot).pods(), conflicts)) return true;
  }
  return false;
}

}  // namespace

std::string Diagnosis::toString() const {
  std::string text = "0/" + std::to_string(nodes) + " nodes are available";
  if (!blocked.empty()) return text + ": " + blocked + ".";
  // Upstream sorts the counted texts, not the reasons.
  std::set<std::string> parts;
  for (const auto& [reason, count] : reasons) parts.insert(std::to_string(count) + " " + reason);
  const char* separator = ": ";
  for (const auto& part : parts) {
    text += separator + part;
    separator = ", ";
  }
  return text + ".";
}

std::vector<NodeVerdict> filterNodes(const PodInfo& pod, const Snapshot& snapshot) {
  const bool claimTaken = lacksExclusiveClaim(pod, snapshot);
  const TopologyFilter topology(pod, snapshot);
  std::vector<NodeVerdict> verdicts;
  verdicts.reserve(snapshot.nodeCount());
  for (Snapshot::Slot slot = 0; slot < snapshot.slots(); ++slot) {
    const NodeInfo& node = snapshot.at(slot);
    if (node.node() == nullptr) continue;
    NodeVerdict verdict{slot, runFilters(pod, node)};
    if (verdict.passes() && claimTaken) {
      verdict.rejection = {"VolumeRestrictions",
                           {"node has pod using PersistentVolumeClaim with the same name and "
                            "ReadWriteOncePod access mode"},
                           true};
    }
    if (verdict.passes()) {
      const auto rejection = topology.reject(node);
      if (!rejection.filter.empty()) {
        verdict.rejection = {
            rejection.filter, {std::string(rejection.reason)}, rejection.resolvable};
      }
    }
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

Choice chooseNaively(const PodInfo& pod, const Snapshot& snapshot, Snapshot::Slot cursor,
                     ResourceScoring resources) {
  Choice best;
  best.diagnosis.nodes = snapshot.nodeCount();
  best.diagnosis.blocked = pod.volumes.blocked;
  if (!best.diagnosis.blocked.empty()) return best;
  std::vector<Snapshot::Slot> feasible;
  for (const auto& verdict : filterNodes(pod, snapshot)) {
    if (verdict.passes()) feasible.push_back(verdict.slot);
    for (const auto& reason : verdict.rejection.reasons) ++best.diagnosis.reasons[reason];
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

}  // namespace podlab::scheduler
