#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "scheduler/naive.hpp"

namespace podlab::scheduler {

/// A set of filters by their bits.
using FilterSet = std::uint32_t;
/// The bit of a filter by its name; 0 for what is none.
FilterSet filterBit(std::string_view name);
/// The filters that came first on any of the nodes.
FilterSet filtersOf(const std::vector<NodeVerdict>& verdicts);

/// What happened in the cluster, for those who wait to see whether it helps them.
struct ClusterEvent {
  enum Kind : std::uint32_t {
    kNodeAdded = 1 << 0,
    kNodeRemoved = 1 << 1,
    kNodeAllocatable = 1 << 2,
    kNodeLabels = 1 << 3,
    kNodeTaints = 1 << 4,  ///< or unschedulable
    kPodAdded = 1 << 5,
    kPodRemoved = 1 << 6,  ///< or its nomination
    kNamespaceLabels = 1 << 7,
  };
  std::uint32_t kinds = 0;
  Snapshot::Slot slot = Snapshot::kNoSlot;  ///< where, but for namespaces
  const PodInfo* pod = nullptr;             ///< that came or went
};

/// What changed between two states of a node that a decision depends on; 0: nothing.
std::uint32_t changesOf(const corev1::Node& before, const corev1::Node& now);

/// Whether a pod that `rejectedBy` kept from all nodes may have a place now that the event has
/// changed the snapshot: by itself, or by preemption. Never wrongly no, if it has been asked about
/// each event since: what newly keeps the pod from the event's node is added to `rejectedBy`.
bool mayHelp(const ClusterEvent& event, const PodInfo& waiting, FilterSet& rejectedBy,
             const Snapshot& snapshot);

}  // namespace podlab::scheduler
