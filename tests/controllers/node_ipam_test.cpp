#include <gmock/gmock.h>

#include "tests/controllers/cluster_fixture.hpp"

namespace podlab::controllers {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(RangeAllocator, NeverOverlapsWhatIsTaken) {
  const std::uint64_t seed = 7;
  SeededRng rng(seed);
  for (const char* text : {"10.0.0.0/20", "fd00::/116"}) {
    const net::Cidr whole = *net::Cidr::parse(text);
    const int nodePrefix = whole.prefix() + 6;
    RangeAllocator allocator({whole, nodePrefix});
    std::vector<net::Cidr> held;
    for (int step = 0; step < 1000; ++step) {
      const auto action = rng.below(10);
      if (action < 5) {
        const auto got = allocator.allocate();
        bool free = false;
        for (std::uint64_t i = 0; i < whole.subnetCount(nodePrefix) && !free; ++i) {
          const auto part = whole.subnet(nodePrefix, i);
          free = std::ranges::none_of(held, [&](const auto& h) { return h.overlaps(part); });
        }
        ASSERT_EQ(got.has_value(), free) << "seed " << seed << " step " << step;
        if (!got) continue;
        ASSERT_TRUE(whole.overlaps(*got));
        for (const auto& other : held) {
          ASSERT_FALSE(other.overlaps(*got)) << "seed " << seed << " step " << step << " "
                                             << other.toString() << " " << got->toString();
        }
        held.push_back(*got);
      } else if (action < 6) {
        // Ranges that others chose, of any size.
        const int prefix = whole.prefix() + static_cast<int>(rng.below(11));
        held.push_back(whole.subnet(prefix, rng.below(whole.subnetCount(prefix))));
        allocator.take(held.back());
      } else if (!held.empty()) {
        const std::size_t i = rng.below(held.size());
        allocator.release(held[i]);
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }
}

class NodeIpamTest : public ClusterTest {};

TEST_F(NodeIpamTest, GivesEachNodeItsRangesOfBothFamilies) {
  ManagerOptions dual = options();
  dual.ranges.push_back({*net::Cidr::parse("fd00:244::/48"), 64});
  startManager(dual);
  for (const char* name : {"n1", "n2", "n3"}) addNode(name);
  EXPECT_THAT(ranges("n1"), ElementsAre("10.244.0.0/24", "fd00:244::/64"));
  EXPECT_THAT(ranges("n2"), ElementsAre("10.244.1.0/24", "fd00:244:0:1::/64"));
  EXPECT_THAT(ranges("n3"), ElementsAre("10.244.2.0/24", "fd00:244:0:2::/64"));
  EXPECT_EQ(get<corev1::Node>("n1")->spec().podcidr(), "10.244.0.0/24");
}

TEST_F(NodeIpamTest, KnowsWhatIsTakenAfterARestart) {
  startManager();
  for (const char* name : {"n1", "n2", "n3"}) addNode(name);
  ASSERT_TRUE(remove<corev1::Node>("n2").ok());
  stopManager();
  restart();
  corev1::Node waiting;
  waiting.mutable_metadata()->set_name("a0");
  ASSERT_TRUE(create(waiting).ok());
  startManager();
  EXPECT_THAT(ranges("a0"), ElementsAre("10.244.1.0/24"));
  EXPECT_THAT(ranges("n3"), ElementsAre("10.244.2.0/24"));
}

TEST_F(NodeIpamTest, ExhaustionIsAnEventAndEndsWhenANodeLeaves) {
  startManager(options("10.244.0.0/23"));
  for (const char* name : {"n1", "n2", "n3", "n4"}) addNode(name);
  EXPECT_THAT(ranges("n3"), IsEmpty());
  EXPECT_THAT(events("n3"), Contains("CIDRNotAvailable").Times(1));
  ASSERT_TRUE(remove<corev1::Node>("n1").ok());
  clock_.runUntilIdle();
  const bool third = !ranges("n3").empty();
  EXPECT_THAT(ranges(third ? "n3" : "n4"), ElementsAre("10.244.0.0/24"));
  EXPECT_THAT(ranges(third ? "n4" : "n3"), IsEmpty());
}

TEST_F(NodeIpamTest, ManyNodesAtOnceNeverShare) {
  startManager(options("10.0.0.0/16"));
  for (int i = 0; i < 200; ++i) {
    corev1::Node node;
    node.mutable_metadata()->set_name("n" + std::to_string(i));
    ASSERT_TRUE(create(node).ok());
  }
  clock_.runUntilIdle();
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const auto got = ranges("n" + std::to_string(i));
    ASSERT_EQ(got.size(), 1U) << i;
    EXPECT_TRUE(seen.insert(got[0]).second) << got[0];
  }
}

}  // namespace
}  // namespace podlab::controllers
