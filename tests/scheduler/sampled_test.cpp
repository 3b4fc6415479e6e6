#include "scheduler/sampled.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "common/rng.hpp"
#include "scheduler/scheduler.hpp"
#include "tests/scheduler/builders.hpp"

namespace podlab::scheduler {
namespace {

Snapshot nodes(int count) {
  Snapshot snapshot;
  for (int i = 0; i < count; ++i) {
    const std::string name = "n" + std::to_string(i);
    snapshot.setNode(snapshot.slotOf(name), makeNode(name));
  }
  return snapshot;
}

TEST(Sampled, EnoughIsWhatKubeSchedulerSays) {
  for (const auto& [all, enough] : std::vector<std::pair<std::size_t, std::size_t>>{{0, 0},
                                                                                    {99, 99},
                                                                                    {100, 100},
                                                                                    {200, 100},
                                                                                    {250, 120},
                                                                                    {1000, 420},
                                                                                    {5000, 500},
                                                                                    {5750, 287},
                                                                                    {6000, 300},
                                                                                    {10000, 500}})
    EXPECT_EQ(enoughNodes(all), enough) << all;
}

TEST(Sampled, GoesOnWhereTheLastSearchHasEnded) {
  const Snapshot snapshot = nodes(300);
  const PodInfo pod(makePod("p"));
  SeededRng rng(1);
  std::size_t start = 0;
  // 48 % of 300.
  for (const std::size_t first : {0, 144, 288, 132}) {
    ASSERT_EQ(start, first);
    const Choice choice =
        chooseSampled(pod, snapshot, {}, ResourceScoring::kLeastAllocated, start, rng);
    EXPECT_LT((choice.slot + 300 - first) % 300, 144U) << "among those that were looked at";
  }
}

TEST(Sampled, TiesAreBrokenByChance) {
  const Snapshot snapshot = nodes(4);
  const PodInfo pod(makePod("p"));
  SeededRng rng(7);
  std::size_t start = 0;
  std::map<Snapshot::Slot, int> chosen;
  for (int i = 0; i < 400; ++i)
    ++chosen[chooseSampled(pod, snapshot, {}, ResourceScoring::kLeastAllocated, start, rng).slot];
  ASSERT_EQ(chosen.size(), 4U);
  for (const auto& [slot, times] : chosen) EXPECT_GT(times, 60) << slot;
}

TEST(Sampled, TakesTheBestAndSaysWhyThereIsNone) {
  Snapshot snapshot = nodes(3);
  snapshot.setNode(snapshot.slotOf("large"), makeNode("large", "64", "512Gi"));
  SeededRng rng(1);
  std::size_t start = 2;
  const PodInfo pod(makePod("p", "1", "1Gi"));
  EXPECT_EQ(chooseSampled(pod, snapshot, {}, ResourceScoring::kLeastAllocated, start, rng).slot,
            snapshot.find("large"));
  const PodInfo huge(makePod("huge", "100"));
  const Choice none =
      chooseSampled(huge, snapshot, {}, ResourceScoring::kLeastAllocated, start, rng);
  EXPECT_FALSE(none.found());
  EXPECT_EQ(none.diagnosis.toString(), "0/4 nodes are available: 4 Insufficient cpu.");
}

TEST(Sampled, IsAProfileOfTheScheduler) {
  SeededRng rng(3);
  Profile sampled;
  sampled.sampled = true;
  Scheduler scheduler(rng, {sampled});
  for (int i = 0; i < 4; ++i) scheduler.setNode(makeNode("n" + std::to_string(i), "1"), {});
  std::set<std::string> used;
  for (int i = 0; i < 4; ++i) {
    scheduler.setPod(makePod("p" + std::to_string(i), "1"), {});
    used.insert(scheduler.decideNext({})->node);
  }
  EXPECT_EQ(used.size(), 4U);
}

}  // namespace
}  // namespace podlab::scheduler
