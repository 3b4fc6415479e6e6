#include "lab/fault_board.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio.hpp>

#include "common/rng.hpp"
#include "sim/sim_clock.hpp"

namespace podlab::lab {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// A lab without a kernel, which may refuse.
class FakeTarget final : public FaultTarget {
 public:
  NodeLabels nodes() const override { return names; }
  Status enforce(const FaultEffects& wanted) override {
    ++calls;
    if (refusals > 0) {
      --refusals;
      return Status(Code::kInternal, "the kernel is out of sorts");
    }
    effects = wanted;
    return {};
  }
  Status supports(FaultKind kind) override {
    return kind == FaultKind::kDelay ? Status(Code::kHostUnsupported, "no netem") : Status();
  }
  Status killAgent(const std::string& node) override {
    killed.push_back(node);
    return {};
  }

  NodeLabels names = {{"node1", {}}, {"node2", {}}, {"node3", {}}};
  FaultEffects effects;
  std::vector<std::string> killed;
  int calls = 0;
  int refusals = 0;
};

class FaultBoardTest : public ::testing::Test {
 protected:
  FaultConfig fault(const std::string& kind, const std::string& nodes, const std::string& lease) {
    FaultConfig config;
    config.set_kind(kind);
    config.set_nodes(nodes);
    config.set_for_(lease);
    return config;
  }
  std::string add(FaultConfig config) {
    auto id = board.add(std::move(config), "command");
    EXPECT_TRUE(id) << id.status().toString();
    return id ? *id : "";
  }

  asio::io_context io;
  sim::SimClock clock{io};
  FakeTarget target;
  FaultBoard board{clock, target};
};

TEST_F(FaultBoardTest, AFaultEndsByItself) {
  EXPECT_EQ(add(fault("node-freeze", "node1", "30s")), "f1");
  EXPECT_EQ(add(fault("node-freeze", "node*", "10s")), "f2");
  EXPECT_EQ(board.entries().at("f2").config.nodes(), "node1,node2,node3");
  EXPECT_THAT(target.effects.frozen, SizeIs(3));
  clock.advance(seconds(10) - milliseconds(1));
  EXPECT_THAT(target.effects.frozen, SizeIs(3));
  clock.advance(milliseconds(1));
  EXPECT_THAT(target.effects.frozen, ElementsAre("node1"));
  clock.advance(seconds(20));
  EXPECT_THAT(target.effects.frozen, IsEmpty());
  EXPECT_THAT(board.entries(), IsEmpty());
  EXPECT_EQ(clock.pendingTimers(), 0U);
}

TEST_F(FaultBoardTest, WhatIsClearedEndsNow) {
  add(fault("node-freeze", "node1", "30s"));
  add(fault("node-freeze", "node2", "30s"));
  const Status unknown = board.clear({"f1", "f9"});
  EXPECT_TRUE(unknown.is(Code::kNotFound)) << unknown.toString();
  EXPECT_THAT(target.effects.frozen, SizeIs(2));
  EXPECT_TRUE(board.clear({"f1"}).ok());
  EXPECT_THAT(target.effects.frozen, ElementsAre("node2"));
  EXPECT_TRUE(board.clearAll().ok());
  EXPECT_THAT(target.effects.frozen, IsEmpty());
  EXPECT_EQ(clock.pendingTimers(), 0U);
  // Ids are not used again.
  EXPECT_EQ(add(fault("node-freeze", "node1", "30s")), "f3");
}

TEST_F(FaultBoardTest, WhatCannotBeDoneLeavesNothing) {
  add(fault("node-freeze", "node1", "30s"));
  target.refusals = 1;
  EXPECT_FALSE(board.add(fault("node-freeze", "node2", "30s"), "command"));
  EXPECT_THAT(board.entries(), SizeIs(1));
  EXPECT_THAT(target.effects.frozen, ElementsAre("node1"));
  FaultConfig delay = fault("delay", "node1", "30s");
  delay.set_delay("1s");
  EXPECT_TRUE(board.add(delay, "command").status().is(Code::kHostUnsupported));
  EXPECT_TRUE(board.add(fault("node-freeze", "node9", "30s"), "").status().is(Code::kInvalid));
  EXPECT_THAT(board.entries(), SizeIs(1));
}

TEST_F(FaultBoardTest, AnEndThatFailsIsTriedAgain) {
  add(fault("node-freeze", "node1", "5s"));
  target.refusals = 3;
  clock.advance(seconds(5));
  EXPECT_THAT(target.effects.frozen, SizeIs(1));
  clock.advance(seconds(3));
  EXPECT_THAT(target.effects.frozen, IsEmpty());
  EXPECT_EQ(clock.pendingTimers(), 0U);
}

TEST_F(FaultBoardTest, AnAgentIsKilledAndThatIsAll) {
  FaultConfig kill;
  kill.set_kind("agent-kill");
  kill.set_nodes("node3,node1");
  EXPECT_EQ(add(kill), "");
  EXPECT_THAT(target.killed, ElementsAre("node1", "node3"));
  EXPECT_THAT(board.entries(), IsEmpty());
}

TEST_F(FaultBoardTest, NodesAreSparedAndForgotten) {
  add(fault("node-kill", "node1,node2", "30s"));
  add(fault("node-freeze", "node2", "30s"));
  EXPECT_TRUE(board.spare(FaultKind::kNodeKill, "node2").ok());
  EXPECT_THAT(target.effects.dead, ElementsAre("node1"));
  EXPECT_THAT(target.effects.frozen, ElementsAre("node2"));
  EXPECT_EQ(board.entries().at("f1").config.nodes(), "node1");
  target.names.erase("node2");
  EXPECT_TRUE(board.forget("node2").ok());
  EXPECT_THAT(board.entries(), SizeIs(1));
  EXPECT_TRUE(board.spare(FaultKind::kNodeKill, "node1").ok());
  EXPECT_THAT(board.entries(), IsEmpty());
}

TEST_F(FaultBoardTest, ANewNodeIsOnTheOtherSideOfWhoIsCutOff) {
  add(fault("partition", "node1", "30s"));
  target.names["node4"];
  EXPECT_TRUE(board.refresh().ok());
  ASSERT_THAT(target.effects.losses, SizeIs(2));
  EXPECT_TRUE(target.effects.losses[0].to.contains("node4"));
}

// Whatever is asked for, refused and forgotten: in the end nothing is in force.
TEST_F(FaultBoardTest, NothingOutlivesItsLease) {
  constexpr std::uint64_t kSeed = 42;
  SeededRng rng(kSeed);
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  for (int i = 0; i < 2000; ++i) {
    if (rng.chance(0.1)) target.refusals = static_cast<int>(rng.below(3));
    const std::string node = "node" + std::to_string(1 + rng.below(3));
    const std::string lease = std::to_string(1 + rng.below(20)) + "s";
    switch (rng.below(5)) {
      case 0:
      case 1:
        (void)board.add(fault(rng.chance(0.5) ? "node-freeze" : "partition", node, lease), "");
        break;
      case 2:
        (void)board.clear({"f" + std::to_string(rng.below(100))});
        break;
      case 3:
        (void)board.spare(FaultKind::kNodeFreeze, node);
        break;
      default:
        clock.advance(seconds(rng.below(10)));
    }
    for (const auto& [id, entry] : board.entries()) ASSERT_GE(entry.end, clock.now()) << id;
  }
  target.refusals = 0;
  clock.advance(seconds(21));
  EXPECT_THAT(board.entries(), IsEmpty());
  EXPECT_THAT(target.effects.losses, IsEmpty());
  EXPECT_THAT(target.effects.frozen, IsEmpty());
  EXPECT_EQ(clock.pendingTimers(), 0U);
}

FaultsConfig timelineOf(int64_t seed, std::vector<FaultConfig> entries) {
  FaultsConfig config;
  config.set_seed(seed);
  for (auto& entry : entries) *config.add_timeline() = std::move(entry);
  return config;
}

TEST_F(FaultBoardTest, ATimelineBringsFaultsAndEndsThem) {
  FaultConfig freeze = fault("node-freeze", "node1", "5s");
  freeze.set_at("10s");
  freeze.set_every("20s");
  freeze.set_times(2);
  FaultConfig kill;
  kill.set_kind("agent-kill");
  kill.set_nodes("node2");
  kill.set_at("15s");
  const auto config = timelineOf(1, {freeze, kill});
  EXPECT_THAT(faultsOfTimeline(config, target.names), IsEmpty());
  ASSERT_TRUE(board.startTimeline(config).ok());
  clock.advance(seconds(10));
  EXPECT_THAT(target.effects.frozen, SizeIs(1));
  EXPECT_EQ(board.entries().begin()->second.origin, "faults.timeline[0]");
  // A second `podlab up` does not begin it anew.
  ASSERT_TRUE(board.startTimeline(config).ok());
  clock.advance(seconds(5));
  EXPECT_THAT(target.effects.frozen, IsEmpty());
  EXPECT_THAT(target.killed, ElementsAre("node2"));
  clock.advance(seconds(15));
  EXPECT_THAT(target.effects.frozen, SizeIs(1));
  clock.advance(seconds(1000));
  EXPECT_EQ(clock.pendingTimers(), 0U);
  EXPECT_EQ(target.killed.size(), 1U);
}

TEST_F(FaultBoardTest, ATimelineThatThisHostCannotBearDoesNotBegin) {
  FaultConfig delay = fault("delay", "node1", "5s");
  delay.set_delay("1s");
  delay.set_at("1s");
  FaultConfig freeze = fault("node-freeze", "node1", "5s");
  freeze.set_at("1s");
  const Status status = board.startTimeline(timelineOf(1, {freeze, delay}));
  EXPECT_TRUE(status.is(Code::kHostUnsupported));
  EXPECT_THAT(status.message(), HasSubstr("faults.timeline[1]: delay: no netem"));
  EXPECT_EQ(clock.pendingTimers(), 0U);
}

TEST_F(FaultBoardTest, StopEndsAll) {
  FaultConfig freeze = fault("node-freeze", "node1", "5s");
  freeze.set_at("0s");
  freeze.set_every("20s");
  ASSERT_TRUE(board.startTimeline(timelineOf(1, {freeze})).ok());
  clock.advance(seconds(1));
  EXPECT_THAT(target.effects.frozen, SizeIs(1));
  board.stop();
  EXPECT_THAT(target.effects.frozen, IsEmpty());
  EXPECT_EQ(clock.pendingTimers(), 0U);
}

TEST(FaultTimeline, IsAFunctionOfTheSeed) {
  NodeLabels nodes;
  for (int i = 0; i < 20; ++i) nodes["node" + std::to_string(i)];
  FaultConfig freeze;
  freeze.set_kind("node-freeze");
  freeze.set_nodes("*");
  freeze.set_pick(3);
  freeze.set_at("10s");
  freeze.set_every("1m");
  freeze.set_spread("20s");
  const auto story = [&](int64_t seed) {
    const FaultTimeline timeline(timelineOf(seed, {freeze, freeze}));
    std::string text;
    for (std::uint64_t n = 0; n < 20; ++n) {
      for (int entry = 0; entry < 2; ++entry) {
        const auto time = timeline.timeOf(entry, n);
        EXPECT_GE(*time, seconds(10) + n * std::chrono::minutes(1));
        EXPECT_LE(*time, seconds(30) + n * std::chrono::minutes(1));
        const auto fault = timeline.faultOf(entry, n, nodes);
        const auto picked = nodesOf(fault->nodes(), nodes);
        EXPECT_THAT(*picked, SizeIs(3)) << fault->nodes();
        EXPECT_FALSE(fault->has_at() || fault->has_pick());
        text += formatDuration(*time) + " " + fault->nodes() + "\n";
      }
    }
    return text;
  };
  EXPECT_EQ(story(7), story(7));
  EXPECT_NE(story(7), story(8));
}

TEST(FaultTimeline, IsTheSameOnEveryMachine) {
  FaultConfig freeze;
  freeze.set_kind("node-freeze");
  freeze.set_nodes("node1,node2,node3,node4,node5");
  freeze.set_pick(2);
  freeze.set_at("1m");
  freeze.set_spread("1m");
  const NodeLabels nodes = {
      {"node1", {}}, {"node2", {}}, {"node3", {}}, {"node4", {}}, {"node5", {}}};
  const FaultTimeline timeline(timelineOf(42, {freeze}));
  EXPECT_EQ(formatDuration(*timeline.timeOf(0, 0)), "1m42.812113801s");
  EXPECT_EQ(timeline.faultOf(0, 0, nodes)->nodes(), "node4,node3");
  EXPECT_FALSE(timeline.timeOf(0, 1));
}

TEST(FaultTimeline, HugeNumbersAreNoTimes) {
  FaultConfig kill;
  kill.set_kind("agent-kill");
  kill.set_nodes("*");
  kill.set_at("8760h");
  kill.set_every("8760h");
  kill.set_spread("8760h");
  const FaultTimeline timeline(timelineOf(1, {kill}));
  EXPECT_TRUE(timeline.timeOf(0, 100));
  EXPECT_FALSE(timeline.timeOf(0, 1'000'000'000));
  EXPECT_FALSE(timeline.timeOf(0, ~std::uint64_t{0}));
}

TEST(FaultTimeline, FieldsAreChecked) {
  const NodeLabels nodes = {{"node1", {}}, {"node2", {}}};
  FaultConfig bad;
  bad.set_kind("node-kill");
  bad.set_nodes("node9");
  bad.set_every("1ms");
  bad.set_times(0);
  bad.set_spread("x");
  bad.set_pick(0);
  std::vector<std::string> fields;
  for (const auto& cause : faultsOfTimeline(timelineOf(1, {FaultConfig(bad)}), nodes))
    fields.push_back(cause.field);
  EXPECT_THAT(fields, ElementsAre("faults.timeline[0].nodes", "faults.timeline[0].at",
                                  "faults.timeline[0].every", "faults.timeline[0].times",
                                  "faults.timeline[0].spread", "faults.timeline[0].pick"));
  FaultConfig many;
  many.set_kind("node-kill");
  many.set_nodes("*");
  many.set_at("1s");
  many.set_pick(3);
  many.set_times(3);
  fields.clear();
  for (const auto& cause : faultsOfTimeline(timelineOf(1, {many}), nodes))
    fields.push_back(cause.field + ": " + cause.message);
  ASSERT_THAT(fields, SizeIs(2));
  EXPECT_THAT(fields[0], HasSubstr("every: Required value"));
  EXPECT_THAT(fields[1], HasSubstr("nodes are only 2"));
}

}  // namespace
}  // namespace podlab::lab
