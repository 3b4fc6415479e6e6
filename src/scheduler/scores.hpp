#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "scheduler/node_info.hpp"

namespace podlab::scheduler {

/// How well a feasible node suits, 0 to 100 (kube-scheduler's score plugins, under their names).
struct Score {
  std::string_view name;
  std::int64_t weight;
  std::int64_t (*score)(const PodInfo& pod, const NodeInfo& node);
};

std::span<const Score> scores();

/// The weighted sum.
std::int64_t totalScore(const PodInfo& pod, const NodeInfo& node);

/// noderesources/least_allocated.go: the mean over cpu and memory of floor((capacity - used) * 100
/// / capacity), floored; 0 for a resource that is over. Used includes the pod, with defaults for
/// containers that request nothing.
std::int64_t leastAllocated(const PodInfo& pod, const NodeInfo& node);
/// noderesources/balanced_allocation.go: floor((1 - sigma) * 100) with sigma = |cpu fraction -
/// memory fraction| / 2, of real requests. 0 for a pod that requests nothing: it is skipped, alike
/// for all nodes.
std::int64_t balancedAllocation(const PodInfo& pod, const NodeInfo& node);

}  // namespace podlab::scheduler
