#include "lab/fault.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/rng.hpp"
#include "lab/fault_effects.hpp"

namespace podlab::lab {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const NodeLabels kNodes = {{"node1", {{"zone", "a"}}},
                           {"node2", {{"zone", "a"}, {"tier", "x"}}},
                           {"node3", {{"zone", "b"}}},
                           {"worker", {}}};
const std::string kServer(kServerMember);

FaultConfig between(std::vector<std::string> groups) {
  FaultConfig config;
  config.set_kind("partition");
  for (auto& group : groups) config.add_between(std::move(group));
  return config;
}

FaultConfig on(const std::string& kind, const std::string& nodes) {
  FaultConfig config;
  config.set_kind(kind);
  config.set_nodes(nodes);
  return config;
}

using Groups = std::vector<std::set<std::string>>;

Groups groupsOf(const FaultConfig& config) {
  auto fault = readFault(config, kNodes);
  EXPECT_TRUE(fault) << fault.status().toString();
  return fault ? fault->groups : Groups();
}

std::string problemOf(const FaultConfig& config) {
  return readFault(config, kNodes).status().message();
}

TEST(Fault, GroupsAreNamesPatternsAndLabels) {
  EXPECT_EQ(groupsOf(between({"node1, node3", "worker"})),
            (Groups{{"node1", "node3"}, {"worker"}}));
  EXPECT_EQ(groupsOf(between({"zone=a", "zone==b,server"})),
            (Groups{{"node1", "node2"}, {"node3", kServer}}));
  EXPECT_EQ(groupsOf(between({"*o*e1,w**r*", "n*"})),
            (Groups{{"node1", "worker"}, {"node2", "node3"}}));
  EXPECT_THAT(problemOf(between({"*ode", "node1"})), HasSubstr("no node has such a name"));
  EXPECT_EQ(groupsOf(between({"node*", "w*r"})), (Groups{{"node1", "node2", "node3"}, {"worker"}}));
}

TEST(Fault, PatternsTakeWhatNoGroupNames) {
  EXPECT_EQ(groupsOf(between({"*", "node1"})), (Groups{{"node2", "node3", "worker"}, {"node1"}}));
  EXPECT_EQ(groupsOf(between({"zone=a", "*"})), (Groups{{"node1", "node2"}, {"node3", "worker"}}));
}

TEST(Fault, AGroupOfNothingIsAnError) {
  EXPECT_THAT(problemOf(between({"node1", "node9"})),
              HasSubstr("between[1]: Invalid value: \"node9\": no node is called node9; there are: "
                        "node1, node2, node3, worker"));
  EXPECT_THAT(problemOf(between({"zone=c", "node1"})), HasSubstr("no node has the label zone=c"));
  EXPECT_THAT(problemOf(between({"x*", "node1"})), HasSubstr("no node has such a name"));
  EXPECT_THAT(problemOf(between({"node1,", "node2"})), HasSubstr("a name is missing"));
  EXPECT_THAT(problemOf(between({"node1", "node2,node1"})), HasSubstr("node1 is in two groups"));
  EXPECT_THAT(problemOf(between({"*", "node*"})), HasSubstr("all in an earlier group"));
}

TEST(Fault, ANodeMayBeCalledServer) {
  const NodeLabels nodes = {{"server", {}}, {"agent", {}}};
  auto fault = readFault(between({"server", "agent"}), nodes);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->groups, (Groups{{"server"}, {"agent"}}));
}

TEST(Fault, OnlyPacketsHaveGroupsAndTheServer) {
  EXPECT_THAT(problemOf(on("node-kill", "server")), HasSubstr("of the server only partition"));
  FaultConfig kill = between({"node1", "node2"});
  kill.set_kind("node-kill");
  EXPECT_THAT(problemOf(kill), HasSubstr("between: Forbidden: not of the kind node-kill"));
  kill = on("node-kill", "node1");
  kill.set_oneway(true);
  EXPECT_THAT(problemOf(kill), HasSubstr("oneWay: Forbidden"));
  FaultConfig both = between({"node1"});
  both.set_nodes("node2");
  EXPECT_THAT(problemOf(both), HasSubstr("say either nodes or between"));
  EXPECT_THAT(problemOf(on("flood", "node1")),
              HasSubstr("kind: Unsupported value: \"flood\": supported values: \"partition\""));
  FaultConfig nobody;
  nobody.set_kind("node-kill");
  EXPECT_THAT(problemOf(nobody), HasSubstr("nodes: Required value"));
}

TEST(Fault, EachKindHasItsMeasure) {
  FaultConfig delay = on("delay", "node1");
  EXPECT_THAT(problemOf(delay), HasSubstr("delay: Required value"));
  delay.set_delay("100ms");
  delay.set_jitter("10ms");
  auto fault = readFault(delay, kNodes);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->delay, milliseconds(100));
  EXPECT_EQ(fault->jitter, milliseconds(10));
  EXPECT_EQ(fault->lease, kDefaultLease);
  delay.set_rate("1M");
  delay.set_delay("2m");
  EXPECT_THAT(faultsOfFault(delay, kNodes, "x."), SizeIs(2));
}

TEST(Fault, EveryFaultEnds) {
  for (const char* lease : {"0s", "-1s", "forever", "", "8761h", "99999999999h"}) {
    FaultConfig config = on("node-freeze", "*");
    config.set_for_(lease);
    EXPECT_THAT(problemOf(config), HasSubstr("for: Invalid value")) << lease;
  }
  FaultConfig agent = on("agent-kill", "*");
  agent.set_for_("1s");
  EXPECT_THAT(problemOf(agent), HasSubstr("for: Forbidden"));
}

TEST(Fault, MeasuresAreRead) {
  EXPECT_EQ(parseShare("30%"), 0.3);
  EXPECT_EQ(parseShare("100%"), 1);
  EXPECT_EQ(parseShare("0.5%"), 0.005);
  for (const char* bad : {"30", "0%", "100.1%", "-1%", "%", "", "nan%", "inf%", "1e1%", "5 %"})
    EXPECT_FALSE(parseShare(bad)) << bad;
  EXPECT_EQ(parseBitRate("10Mbit"), 10'000'000U);
  EXPECT_EQ(parseBitRate("1.5G"), 1'500'000'000U);
  EXPECT_EQ(parseBitRate("500kbit"), 500'000U);
  EXPECT_EQ(parseBitRate("2000"), 2000U);
  EXPECT_EQ(parseBitRate("2000bit"), 2000U);
  for (const char* bad : {"", "M", "-1M", "10MB", "10 Mbit", "nan", "99999999999999999999G"})
    EXPECT_FALSE(parseBitRate(bad)) << bad;
}

TEST(Fault, WordsSayWhatItDoes) {
  FaultConfig loss = between({"node1,node2", "server"});
  loss.set_kind("loss");
  loss.set_loss("30%");
  loss.set_oneway(true);
  EXPECT_EQ(wordsFor(loss), "30% between node1,node2|server, one way");
  FaultConfig delay = on("delay", "node1");
  delay.set_delay("1s");
  delay.set_jitter("10ms");
  EXPECT_EQ(wordsFor(delay), "1s±10ms at node1");
  EXPECT_EQ(wordsFor(on("node-kill", "*")), "*");
}

/// Whether a packet between two members may be lost.
double lossBetween(const FaultEffects& effects, const std::string& from, const std::string& to) {
  double arrives = 1;
  for (const auto& loss : effects.losses) {
    if (loss.from.contains(from) && loss.to.contains(to)) arrives *= 1 - loss.share;
  }
  return 1 - arrives;
}

TEST(FaultEffects, APartitionCutsGroupsAndNothingElse) {
  SeededRng rng(20261126);
  std::vector<std::string> all{kServer};
  NodeLabels nodes;
  for (int i = 0; i < 8; ++i) {
    all.push_back("n" + std::to_string(i));
    nodes[all.back()];
  }
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    Fault fault;
    fault.groups.resize(1 + rng.below(3));
    std::map<std::string, std::size_t> groupOf;
    for (const auto& name : all) {
      const auto group = rng.below(fault.groups.size() + 1);
      if (group == fault.groups.size()) continue;
      fault.groups[group].insert(name);
      groupOf[name] = group;
    }
    fault.oneWay = rng.chance(0.5);
    const auto effects = effectsOf({{"f1", fault}}, nodes);
    for (const auto& from : all) {
      for (const auto& to : all) {
        const auto a = groupOf.find(from);
        const auto b = groupOf.find(to);
        bool cut = false;
        if (fault.groups.size() == 1) {
          const bool leaves = a != groupOf.end() && b == groupOf.end();
          const bool comes = a == groupOf.end() && b != groupOf.end();
          cut = leaves || (comes && !fault.oneWay);
        } else if (a != groupOf.end() && b != groupOf.end()) {
          cut = fault.oneWay ? a->second < b->second : a->second != b->second;
        }
        EXPECT_EQ(lossBetween(effects, from, to), cut ? 1 : 0) << from << " -> " << to;
      }
    }
  }
}

TEST(FaultEffects, OfSeveralTheHardestHolds) {
  std::map<std::string, Fault> faults;
  for (const auto& [id, delay, rate] :
       {std::tuple("a", seconds(1), 10U), std::tuple("b", seconds(3), 5U),
        std::tuple("c", seconds(2), 7U)}) {
    Fault& slow = faults[std::string("delay-") + id];
    slow.kind = FaultKind::kDelay;
    slow.groups = {{"node1"}};
    slow.delay = delay;
    slow.jitter = slow.delay / 10;
    Fault& narrow = faults[std::string("rate-") + id];
    narrow.kind = FaultKind::kRate;
    narrow.groups = {{"node1"}};
    narrow.bitsPerSecond = rate;
  }
  const auto effects = effectsOf(faults, kNodes);
  const FaultEffects::Link expected{false, seconds(3), milliseconds(300), 5};
  EXPECT_EQ(effects.links, (std::map<std::string, FaultEffects::Link>{{"node1", expected}}));
}

TEST(FaultEffects, TheDeadAreNotFrozen) {
  Fault freeze;
  freeze.kind = FaultKind::kNodeFreeze;
  freeze.groups = {{"node1", "node2"}};
  Fault kill;
  kill.kind = FaultKind::kNodeKill;
  kill.groups = {{"node2"}};
  const auto effects = effectsOf({{"f1", freeze}, {"f2", kill}}, kNodes);
  EXPECT_THAT(effects.frozen, ElementsAre("node1"));
  EXPECT_THAT(effects.dead, ElementsAre("node2"));
}

TEST(SwitchTable, IsThereOnlyForLosses) {
  EXPECT_FALSE(switchTable({}, {{"node1", "node1"}}));
  const FaultEffects::Loss loss{"f1", {"node1"}, {"node2", kServer}, 1};
  const auto table = switchTable({loss}, {{"node1", "port1"}, {"node2", "port2"}});
  ASSERT_TRUE(table);
  EXPECT_EQ(table->family, net::NftFamily::kBridge);
  EXPECT_THAT(table->sets, SizeIs(2));
  // What resolves addresses goes first, in each chain.
  EXPECT_THAT(*table->chains.at("between-nodes").rules, SizeIs(3));
  EXPECT_THAT(*table->chains.at("to-server").rules, SizeIs(3));
  EXPECT_THAT(*table->chains.at("from-server").rules, SizeIs(2));
  // A node that is gone has no port.
  EXPECT_FALSE(switchTable({{"f1", {"node9"}, {"node8"}, 1}}, {{"node1", "port1"}}));
}

}  // namespace
}  // namespace podlab::lab
