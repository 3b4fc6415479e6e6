#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/node_info.hpp"

namespace podlab::scheduler {

enum class ResourceScoring { kLeastAllocated, kMostAllocated };

/// How the pods of one schedulerName are placed.
struct Profile {
  std::string name = "default-scheduler";
  ResourceScoring resources = ResourceScoring::kLeastAllocated;
  /// As kube-scheduler does: it stops at enough feasible nodes, from a start that rotates, and
  /// breaks ties at random.
  bool sampled = false;
};

enum ScoreId : std::size_t {
  kTaintTolerationScore,
  kNodeAffinityScore,
  kPodTopologySpreadScore,
  kInterPodAffinityScore,
  kNodeResourcesFitScore,
  kBalancedAllocationScore,
  kImageLocalityScore,
  kScoreCount
};

/// kube-scheduler's score plugins: their names, and what a score of 0 to 100 counts.
struct ScorePlugin {
  std::string_view name;
  std::int64_t weight;
};
inline constexpr std::array<ScorePlugin, kScoreCount> kScorePlugins{{
    {"TaintToleration", 3},
    {"NodeAffinity", 2},
    {"PodTopologySpread", 2},
    {"InterPodAffinity", 2},
    {"NodeResourcesFit", 1},
    {"NodeResourcesBalancedAllocation", 1},
    {"ImageLocality", 1},
}};

/// 0 to 100 each.
struct NodeScores {
  std::array<std::int64_t, kScoreCount> scores{};
  std::int64_t total() const;  ///< weighted
};

/// The scores of the nodes that passed the filters, in their order.
std::vector<NodeScores> scoreNodes(const PodInfo& pod, const Snapshot& snapshot,
                                   const std::vector<Snapshot::Slot>& feasible,
                                   ResourceScoring resources);

/// What a node has of one resource, and what would be used of it.
struct ResourceUse {
  std::int64_t capacity = 0;
  std::int64_t used = 0;
};
/// noderesources/least_allocated.go: the mean over cpu and memory of floor((capacity - used) * 100
/// / capacity), floored; 0 for a resource that is over; one of which the node has none does not
/// count.
std::int64_t leastAllocated(ResourceUse cpu, ResourceUse memory);
/// noderesources/most_allocated.go: likewise of floor(min(used, capacity) * 100 / capacity).
std::int64_t mostAllocated(ResourceUse cpu, ResourceUse memory);
/// noderesources/balanced_allocation.go: floor((1 - sigma) * 100) with sigma = |cpu fraction -
/// memory fraction| / 2.
std::int64_t balancedAllocation(ResourceUse cpu, ResourceUse memory);

/// Of the node with the pod on it. Used includes defaults for containers that request nothing.
std::int64_t resourcesScore(const PodShape& pod, const NodeInfo& node, ResourceScoring resources);
/// Of real requests. 0 for a pod that requests nothing: it is skipped, alike for all nodes.
std::int64_t balancedScore(const PodShape& pod, const NodeInfo& node);
/// imagelocality/image_locality.go: the pod's images that the node has, each by its size and the
/// share of nodes that have it.
std::int64_t imageScore(const PodShape& pod, const NodeInfo& node, const Snapshot& snapshot);
/// Taints of the effect PreferNoSchedule that the pod does not tolerate.
std::int64_t softTaints(const PodShape& pod, const NodeInfo& node);
/// The sum of the weights of the preferred node affinity's terms that the node matches.
std::int64_t preferredAffinity(const PodShape& pod, const NodeInfo& node);

/// 100 - 100 * taints / most, and 100 * weight / most, floored (helper.DefaultNormalizeScore).
std::int64_t normalizedTaints(std::int64_t taints, std::int64_t most);
std::int64_t normalizedWeight(std::int64_t weight, std::int64_t most);

}  // namespace podlab::scheduler
