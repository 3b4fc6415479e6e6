#include "scheduler/node_index.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/scheduler/random_cluster.hpp"

namespace podlab::scheduler {
namespace {

/// The index against the plain scan, over random clusters: the same node and score. It decides most
/// cases by itself, and pods are both placed and refused.
TEST(NodeIndex, DecidesAsThePlainScan) {
  const char* from = std::getenv("PODLAB_TEST_SEED");
  const char* rounds = std::getenv("PODLAB_TEST_ROUNDS");
  const std::uint64_t first = from == nullptr ? 1 : std::strtoull(from, nullptr, 10);
  const std::uint64_t count = rounds == nullptr ? 40 : std::strtoull(rounds, nullptr, 10);
  std::size_t cases = 0, indexed = 0, found = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SeededRng rng(seed);
    RandomCluster cluster(
        rng, {.mostValues = rng.chance(0.5) ? 3u : 64u, .often = rng.chance(0.5) ? 0u : 256u});
    for (int step = 0; step < 100; ++step) {
      for (auto events = rng.below(4); events > 0; --events) cluster.happen();
      const auto comparison = cluster.compare();
      ASSERT_EQ(comparison.difference, "") << "seed " << seed << " step " << step;
      ++cases;
      indexed += comparison.indexed;
      found += comparison.found;
    }
  }
  std::printf("%zu cases, %zu decided by the index, %zu placed\n", cases, indexed, found);
  EXPECT_GT(indexed, cases * 3 / 5);
  EXPECT_GT(found, cases / 5);
  EXPECT_LT(found, cases);
}

// Random clusters hardly make it: a matching pod on each node, and more nodes than counts of pods.
TEST(NodeIndex, EachNodeIsADomainOfItsOwnLabel) {
  Snapshot snapshot;
  NodeIndex index(snapshot, {.mostValues = 2});
  const auto spread = [](const std::string& name) {
    auto pod = makePod(name, "100m", "100Mi");
    (*pod->mutable_metadata()->mutable_labels())["app"] = "a";
    auto& constraint = *pod->mutable_spec()->add_topologyspreadconstraints();
    constraint.set_maxskew(1);
    constraint.set_mindomains(3);
    constraint.set_topologykey("kubernetes.io/hostname");
    constraint.set_whenunsatisfiable("DoNotSchedule");
    (*constraint.mutable_labelselector()->mutable_matchlabels())["app"] = "a";
    return std::make_shared<const PodInfo>(std::move(pod));
  };
  for (int i = 0; i < 4; ++i) {
    const std::string name = "n" + std::to_string(i);
    auto node = makeNode(name);
    (*node->mutable_metadata()->mutable_labels())["kubernetes.io/hostname"] = name;
    const auto slot = snapshot.slotOf(name);
    snapshot.setNode(slot, std::move(node));
    index.nodeChanged(slot);
    const auto pod = spread("on-" + name);
    snapshot.at(slot).add(pod);
    index.podAdded(slot, *pod);
  }
  const auto next = spread("next");
  ASSERT_EQ(chooseNaively(*next, snapshot, 1).slot, 1u);
  const auto found = index.choose(*next, 1);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->slot, 1u);
}

// Nor this: domains that only nodes without the other constraint's label are in. They would make
// racks weigh more than rows, log(12) to log(4), where each has two domains.
TEST(NodeIndex, NodesWithoutAllLabelsMakeNoDomains) {
  Snapshot snapshot;
  NodeIndex index(snapshot);
  const auto labelled = [](const std::string& name, const std::string& app) {
    auto pod = makePod(name);
    (*pod->mutable_metadata()->mutable_labels())["app"] = app;
    return pod;
  };
  const auto addNode = [&](const std::string& name, const std::string& rack,
                           const std::string& row) {
    auto node = makeNode(name, "64", "512Gi");
    (*node->mutable_metadata()->mutable_labels())["rack"] = rack;
    if (!row.empty()) (*node->mutable_metadata()->mutable_labels())["row"] = row;
    const auto slot = snapshot.slotOf(name);
    snapshot.setNode(slot, std::move(node));
    index.nodeChanged(slot);
    return slot;
  };
  const auto place = [&](Snapshot::Slot slot, const std::string& name, const std::string& app) {
    const auto pod = std::make_shared<const PodInfo>(labelled(name, app));
    snapshot.at(slot).add(pod);
    index.podAdded(slot, *pod);
  };
  const auto threeOnTheRack = addNode("n0", "r0", "w0"), fourOnTheRow = addNode("n1", "r1", "w1");
  for (int i = 0; i < 3; ++i) place(threeOnTheRack, "a" + std::to_string(i), "rack-app");
  for (int i = 0; i < 4; ++i) place(fourOnTheRow, "b" + std::to_string(i), "row-app");
  for (int i = 2; i < 10; ++i) addNode("n" + std::to_string(i), "r" + std::to_string(i), "");

  auto pod = labelled("next", "next");
  for (const std::string key : {"rack", "row"}) {
    auto& constraint = *pod->mutable_spec()->add_topologyspreadconstraints();
    constraint.set_maxskew(1);
    constraint.set_topologykey(key);
    constraint.set_whenunsatisfiable("ScheduleAnyway");
    (*constraint.mutable_labelselector()->mutable_matchlabels())["app"] = key + "-app";
  }
  const PodInfo next(std::move(pod));
  ASSERT_EQ(chooseNaively(next, snapshot, 0).slot, threeOnTheRack);
  const auto found = index.choose(next, 0);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->slot, threeOnTheRack);
}

}  // namespace
}  // namespace podlab::scheduler
