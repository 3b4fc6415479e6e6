#include "scheduler/scores.hpp"

#include <algorithm>
#include <cmath>

#include "api/selectors.hpp"
#include "api/taints.hpp"
#include "scheduler/topology.hpp"

namespace podlab::scheduler {
namespace {

constexpr std::int64_t kMaxScore = 100;
/// imagelocality: smaller sums do not matter, larger ones (for each container) not more.
constexpr std::int64_t kSmallImages = 23LL << 20;
constexpr std::int64_t kLargeImage = 1000LL << 20;

/// floor(part * 100 / whole). The product exceeds 64 bits from 82 PiB on.
std::int64_t percent(std::int64_t part, std::int64_t whole) {
  constexpr std::int64_t kFits = std::numeric_limits<std::int64_t>::max() / kMaxScore;
  if (part <= kFits) return part * kMaxScore / whole;
  return static_cast<std::int64_t>(static_cast<__int128>(part) * kMaxScore / whole);
}

/// The mean over the resources that the node has (allocatable 0 has weight 0 upstream).
template <typename Share>
std::int64_t meanOf(ResourceUse cpu, ResourceUse memory, Share share) {
  std::int64_t sum = 0, weight = 0;
  for (const ResourceUse use : {cpu, memory}) {
    if (use.capacity <= 0) continue;
    sum += share(use);
    ++weight;
  }
  return weight == 0 ? 0 : sum / weight;
}

}  // namespace

std::int64_t NodeScores::total() const {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < kScoreCount; ++i) sum += kScorePlugins[i].weight * scores[i];
  return sum;
}

std::int64_t leastAllocated(ResourceUse cpu, ResourceUse memory) {
  return meanOf(cpu, memory, [](ResourceUse use) {
    return use.used > use.capacity ? 0 : percent(use.capacity - use.used, use.capacity);
  });
}

std::int64_t mostAllocated(ResourceUse cpu, ResourceUse memory) {
  return meanOf(cpu, memory, [](ResourceUse use) {
    return percent(std::min(use.used, use.capacity), use.capacity);
  });
}

std::int64_t balancedAllocation(ResourceUse cpu, ResourceUse memory) {
  if (cpu.capacity <= 0 || memory.capacity <= 0) return kMaxScore;
  const auto fraction = [](ResourceUse use) {
    return std::min(1.0, static_cast<double>(use.used) / static_cast<double>(use.capacity));
  };
  const double sigma = std::fabs((fraction(cpu) - fraction(memory)) / 2);
  return static_cast<std::int64_t>((1 - sigma) * static_cast<double>(kMaxScore));
}

std::int64_t resourcesScore(const PodShape& pod, const NodeInfo& node, ResourceScoring resources) {
  const ResourceUse cpu{node.allocatable().cpuMilli, node.scoredCpuMilli() + pod.scoredCpuMilli};
  const ResourceUse memory{node.allocatable().memoryBytes,
                           node.scoredMemoryBytes() + pod.scoredMemoryBytes};
  return resources == ResourceScoring::kLeastAllocated ? leastAllocated(cpu, memory)
                                                       : mostAllocated(cpu, memory);
}

std::int64_t balancedScore(const PodShape& pod, const NodeInfo& node) {
  if (pod.requestsNothing) return 0;
  return balancedAllocation(
      {node.allocatable().cpuMilli, node.requested().cpuMilli + pod.requests.cpuMilli},
      {node.allocatable().memoryBytes, node.requested().memoryBytes + pod.requests.memoryBytes});
}

std::int64_t imageScore(const PodShape& pod, const NodeInfo& node, const Snapshot& snapshot) {
  if (snapshot.imageNodes().empty()) return 0;
  std::int64_t sum = 0;
  for (const auto& wanted : pod.images) {
    const auto holders = snapshot.imageNodes().find(wanted);
    if (holders == snapshot.imageNodes().end()) continue;
    for (const auto& image : node.node()->status().images()) {
      if (std::ranges::find(image.names(), wanted) == image.names().end()) continue;
      const double share =
          static_cast<double>(holders->second) / static_cast<double>(snapshot.nodeCount());
      sum += static_cast<std::int64_t>(static_cast<double>(image.sizebytes()) * share);
      break;
    }
  }
  const std::int64_t most = kLargeImage * static_cast<std::int64_t>(pod.images.size());
  return kMaxScore * (std::clamp(sum, kSmallImages, most) - kSmallImages) / (most - kSmallImages);
}

std::int64_t softTaints(const PodShape& pod, const NodeInfo& node) {
  return std::ranges::count_if(node.node()->spec().taints(), [&pod](const auto& taint) {
    return taint.effect() == api::kPreferNoSchedule &&
           !api::tolerates(pod.spec.tolerations(), taint);
  });
}

std::int64_t preferredAffinity(const PodShape& pod, const NodeInfo& node) {
  std::int64_t sum = 0;
  for (const auto& term :
       pod.spec.affinity().nodeaffinity().preferredduringschedulingignoredduringexecution()) {
    if (api::matchesNodeSelectorTerm(term.preference(), *node.node())) sum += term.weight();
  }
  return sum;
}

std::int64_t normalizedTaints(std::int64_t taints, std::int64_t most) {
  return kMaxScore - normalizedWeight(taints, most);
}

std::int64_t normalizedWeight(std::int64_t weight, std::int64_t most) {
  return most == 0 ? 0 : kMaxScore * weight / most;
}

std::vector<NodeScores> scoreNodes(const PodInfo& pod, const Snapshot& snapshot,
                                   const std::vector<Snapshot::Slot>& feasible,
                                   ResourceScoring resources) {
  const PodShape& shape = *pod.shape;
  const TopologyScores topology(pod, snapshot, feasible);
  std::vector<NodeScores> all(feasible.size());
  std::int64_t mostTaints = 0, mostWeight = 0;
  for (std::size_t i = 0; i < feasible.size(); ++i) {
    const NodeInfo& node = snapshot.at(feasible[i]);
    auto& scores = all[i].scores;
    scores[kTaintTolerationScore] = softTaints(shape, node);
    scores[kNodeAffinityScore] = preferredAffinity(shape, node);
    mostTaints = std::max(mostTaints, scores[kTaintTolerationScore]);
    mostWeight = std::max(mostWeight, scores[kNodeAffinityScore]);
    scores[kPodTopologySpreadScore] = topology.spread(i);
    scores[kInterPodAffinityScore] = topology.affinity(i);
    scores[kNodeResourcesFitScore] = resourcesScore(shape, node, resources);
    scores[kBalancedAllocationScore] = balancedScore(shape, node);
    scores[kImageLocalityScore] = imageScore(shape, node, snapshot);
  }
  for (auto& [scores] : all) {
    scores[kTaintTolerationScore] = normalizedTaints(scores[kTaintTolerationScore], mostTaints);
    scores[kNodeAffinityScore] = normalizedWeight(scores[kNodeAffinityScore], mostWeight);
  }
  return all;
}

}  // namespace podlab::scheduler
