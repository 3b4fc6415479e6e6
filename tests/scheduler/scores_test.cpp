#include "scheduler/scores.hpp"

#include <gtest/gtest.h>

#include "tests/param_name.hpp"
#include "tests/scheduler/builders.hpp"

namespace podlab::scheduler {
namespace {

struct Case {
  const char* name;
  const char* usedCpu;
  const char* usedMemory;
  const char* podCpu;
  const char* podMemory;
  std::int64_t least;
  std::int64_t balanced;
};

std::int64_t leastAllocatedOf(const PodInfo& pod, const NodeInfo& node) {
  return resourcesScore(*pod.shape, node, ResourceScoring::kLeastAllocated);
}

class Scores : public ::testing::TestWithParam<Case> {};

TEST_P(Scores, FollowTheFormulas) {
  const Case& c = GetParam();
  NodeInfo node;
  node.setNode(makeNode("a", "4", "8Gi"));
  auto single = [](const char* name, const char* cpu, const char* memory) {
    auto pod = makePod(name, cpu, memory);
    pod->mutable_spec()->mutable_containers()->RemoveLast();
    return pod;
  };
  node.add(std::make_shared<PodInfo>(single("used", c.usedCpu, c.usedMemory)));
  const PodInfo pod(single("p", c.podCpu, c.podMemory));
  EXPECT_EQ(leastAllocatedOf(pod, node), c.least) << c.name;
  EXPECT_EQ(balancedScore(*pod.shape, node), c.balanced) << c.name;
}

INSTANTIATE_TEST_SUITE_P(
    Table, Scores,
    ::testing::Values(
        // cpu (4000-2000)/4000 = 50, memory 6/8 = 75: floor(125/2) = 62; |0.5-0.25|/2 = 0.125.
        Case{"half and quarter", "1", "1Gi", "1", "1Gi", 62, 87},
        // 100m and 200Mi stand for what is not requested: cpu 3800/4000 -> 95, memory 7792/8192
        // -> 95.
        Case{"nothing requested", "", "", "", "", 95, 0},
        Case{"exactly full", "2", "4Gi", "2", "4Gi", 0, 100},
        // Over in cpu alone: 0 for cpu, 75 for memory.
        Case{"cpu over", "4", "1Gi", "1", "1Gi", 37, 62}),
    [](const auto& info) { return paramName(info.param.name, info.index); });

TEST(Scores, ResourceThatTheNodeLacksDoesNotCount) {
  NodeInfo node;
  node.setNode(makeNode("a", "4", "0"));
  auto pod = makePod("p", "1");
  EXPECT_EQ(leastAllocatedOf(PodInfo(pod), node),
            72);  // the second container counts 100m: (4000-1100)/4000
}

TEST(Scores, HugeMemoryDoesNotOverflow) {
  NodeInfo node;
  node.setNode(makeNode("a", "4", "4Ei"));
  EXPECT_EQ(leastAllocatedOf(PodInfo(makePod("p", "0", "1Ei")), node), (97 + 74) / 2);
}

}  // namespace
}  // namespace podlab::scheduler
