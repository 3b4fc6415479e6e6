#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scheduler/filters.hpp"
#include "scheduler/scores.hpp"

namespace podlab::scheduler {

/// How many nodes fell out for each reason; the text is upstream's:
/// "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
struct Diagnosis {
  std::size_t nodes = 0;
  std::map<std::string, std::size_t> reasons;
  std::string blocked;  ///< why no node was looked at
  std::string toString() const;
};

/// The node for a pod, whole, or why there is none.
struct Choice {
  Snapshot::Slot slot = Snapshot::kNoSlot;
  std::int64_t score = 0;
  Diagnosis diagnosis;

  bool found() const { return slot != Snapshot::kNoSlot; }
};

/// What all filters say of each node, in the order of slots; slots without a node are left out.
struct NodeVerdict {
  Snapshot::Slot slot = Snapshot::kNoSlot;
  Rejection rejection;  ///< of the first filter that rejects the node
  bool passes() const { return rejection.filter.empty(); }
};
std::vector<NodeVerdict> filterNodes(const PodInfo& pod, const Snapshot& snapshot);

/// A plain scan over all nodes: among the feasible ones of the highest score, the first at or after
/// `cursor`. It stays as the oracle of every faster engine.
Choice chooseNaively(const PodInfo& pod, const Snapshot& snapshot, Snapshot::Slot cursor,
                     ResourceScoring resources = ResourceScoring::kLeastAllocated);

}  // namespace podlab::scheduler
