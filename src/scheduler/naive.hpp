#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scheduler/filters.hpp"
#include "scheduler/scores.hpp"
#include "scheduler/topology.hpp"

namespace podlab::scheduler {

/// How many nodes fell out for each reason; the text is upstream's:
/// "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
struct Diagnosis {
  std::size_t nodes = 0;
  std::map<std::string, std::size_t> reasons;
  std::string blocked;     ///< why no node was looked at
  std::string preemption;  ///< why to make room does not help either; empty: nobody has tried
  std::string toString() const;
};

/// The node for a pod, whole, or why there is none.
struct Choice {
  Snapshot::Slot slot = Snapshot::kNoSlot;
  std::int64_t score = 0;
  Diagnosis diagnosis;  ///< when there is none

  bool found() const { return slot != Snapshot::kNoSlot; }
};

/// All filters for one pod, with what they count over all nodes. Copies are cheap to change: what
/// would be if pods came or went. The pod and the snapshot's namespaces outlive it.
class PodFilter {
 public:
  PodFilter(const PodInfo& pod, const Snapshot& snapshot);

  /// What the first rejecting filter says of the node; an empty `filter` when it passes all.
  Rejection reject(const NodeInfo& node) const;
  /// The same of those filters alone that count over all nodes.
  Rejection rejectOverNodes(const NodeInfo& node) const;
  /// Another pod comes to, or leaves, the node, which has its object: as if counted anew.
  void count(const PodInfo& other, const NodeInfo& node, int difference);

 private:
  bool takesItsClaim(const PodInfo& other) const;

  const PodInfo* pod_;
  TopologyFilter topology_;
  std::int64_t claimHolders_ = 0;  ///< pods with a claim that this pod must have to itself
};

/// What all filters say of each node, in the order of slots; slots without a node are left out.
struct NodeVerdict {
  Snapshot::Slot slot = Snapshot::kNoSlot;
  Rejection rejection;  ///< of the first filter that rejects the node
  bool passes() const { return rejection.filter.empty(); }
};
std::vector<NodeVerdict> filterNodes(const PodInfo& pod, const Snapshot& snapshot);

/// Why nodes fell out.
Diagnosis diagnose(const PodInfo& pod, const Snapshot& snapshot,
                   const std::vector<NodeVerdict>& verdicts);

/// Among the nodes that passed, of the highest score, the first at or after `cursor`.
Choice chooseAmong(const PodInfo& pod, const Snapshot& snapshot,
                   const std::vector<NodeVerdict>& verdicts, Snapshot::Slot cursor,
                   ResourceScoring resources);

/// A plain scan over all nodes: among the feasible ones of the highest score, the first at or after
/// `cursor`. It stays as the oracle of every faster engine.
Choice chooseNaively(const PodInfo& pod, const Snapshot& snapshot, Snapshot::Slot cursor,
                     ResourceScoring resources = ResourceScoring::kLeastAllocated);

}  // namespace podlab::scheduler
