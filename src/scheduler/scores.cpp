#include "scheduler/scores.hpp"

#include <algorithm>
#include <cmath>

namespace podlab::scheduler {
namespace {

constexpr std::int64_t kMaxScore = 100;

std::int64_t freeShare(std::int64_t capacity, std::int64_t used) {
  if (capacity <= 0 || used > capacity) return 0;
  // The product of bytes and 100 exceeds 64 bits from 92 PiB on.
  return static_cast<std::int64_t>(static_cast<__int128>(capacity - used) * kMaxScore / capacity);
}

constexpr Score kScores[] = {
    {"NodeResourcesFit", 1, leastAllocated},
    {"NodeResourcesBalancedAllocation", 1, balancedAllocation},
};

}  // namespace

std::int64_t leastAllocated(const PodInfo& pod, const NodeInfo& node) {
  // A resource of which the node has none does not count (allocatable 0 has weight 0 upstream).
  std::int64_t sum = 0, weight = 0;
  const auto add = [&](std::int64_t capacity, std::int64_t used) {
    if (capacity == 0) return;
    sum += freeShare(capacity, used);
    ++weight;
  };
  add(node.allocatable().cpuMilli, node.scoredCpuMilli() + pod.scoredCpuMilli);
  add(node.allocatable().memoryBytes, node.scoredMemoryBytes() + pod.scoredMemoryBytes);
  return weight == 0 ? 0 : sum / weight;
}

std::int64_t balancedAllocation(const PodInfo& pod, const NodeInfo& node) {
  if (pod.requests == Resources()) return 0;
  const auto fraction = [](std::int64_t used, std::int64_t capacity) {
    return std::min(1.0, static_cast<double>(used) / static_cast<double>(capacity));
  };
  const auto& allocatable = node.allocatable();
  double sigma = 0;
  if (allocatable.cpuMilli > 0 && allocatable.memoryBytes > 0) {
    const double cpu =
        fraction(node.requested().cpuMilli + pod.requests.cpuMilli, allocatable.cpuMilli);
    const double memory =
        fraction(node.requested().memoryBytes + pod.requests.memoryBytes, allocatable.memoryBytes);
    sigma = std::fabs((cpu - memory) / 2);
  }
  return static_cast<std::int64_t>((1 - sigma) * static_cast<double>(kMaxScore));
}

std::span<const Score> scores() {
  return kScores;
}

std::int64_t totalScore(const PodInfo& pod, const NodeInfo& node) {
  std::int64_t total = 0;
  for (const auto& score : kScores) total += score.weight * score.score(pod, node);
  return total;
}

}  // namespace podlab::scheduler
