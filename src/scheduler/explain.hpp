#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "scheduler/preemption.hpp"

namespace podlab::scheduler {

/// What the scheduler makes of one node for a pod.
struct NodeExplanation {
  std::string node;
  std::vector<Rejection> rejections;  ///< of all filters; none: the pod fits
  NodeScores scores;                  ///< when it fits
  /// What would have to change, all together, for the pod to fit: "tolerate taint a=b:NoSchedule".
  /// Empty when it fits, and when nothing is known that would do.
  std::vector<std::string> changes;
  /// Keys of the pods that would have to go. With `changesInstead` these are one way and `changes`
  /// another; otherwise it takes both.
  std::vector<std::string> leaving;
  bool changesInstead = false;
  bool preempts = false;  ///< the scheduler itself may have these pods go
  /// Keys of nominated pods, when only the room that is kept for them is what the pod lacks.
  std::vector<std::string> keptFor;

  bool fits() const { return rejections.empty(); }
  bool isHopeless() const { return !fits() && changes.empty() && leaving.empty(); }
};

struct Explanation {
  Choice choice;
  /// Those that fit by their total, the highest first; then the others, by how little would have
  /// to change.
  std::vector<NodeExplanation> nodes;
};

/// What the scheduler would decide for the pod on this snapshot, in which it has no place, and why.
Explanation explain(const PodInfo& pod, const Snapshot& snapshot, ResourceScoring resources,
                    const std::vector<Budget>& budgets, const Nominations& nominations = {});

}  // namespace podlab::scheduler
