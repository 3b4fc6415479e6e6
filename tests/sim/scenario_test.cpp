#include "sim/scenario.hpp"

#include <gmock/gmock.h>

#include "sim/arrivals.hpp"
#include "tests/sim/sim_fixture.hpp"

namespace podlab::sim {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr const char* kGood = R"(
duration: 1h
nodes: [{name: m, count: 2}]
workloads: [{name: w, every: 1s, shapes: [{cpu: 1, memory: 1Gi}]}]
)";

TEST(ScenarioTest, HasDefaults) {
  const Scenario scenario = goodScenario(kGood);
  EXPECT_EQ(scenario.seed, 1u);
  EXPECT_EQ(scenario.nodeCount(), 2);
  EXPECT_EQ(scenario.nodes[0].nodeName(1), "m2");
  EXPECT_EQ(scenario.nodes[0].capacity.at("memory"), "32Gi");
  EXPECT_EQ(scenario.nodeGrace, seconds(40));
  EXPECT_FALSE(scenario.direct);
}

struct Fault {
  const char* text;
  const char* field;
  const char* message;
};

TEST(ScenarioTest, NamesFieldValueAndRemedy) {
  const Fault kFaults[] = {
      {"nodes: [{name: m}]", "duration", "such as 24h"},
      {"duration: soon\nnodes: [{name: m}]", "duration", "\"soon\": must be a duration"},
      {"duration: 1h", "nodes", "a group of nodes at least"},
      {"duration: 1h\nnodes: [{name: Big}]", "nodes[0].name", "\"Big\""},
      {"duration: 1h\nnodes: [{name: m, count: 0}]", "nodes[0].count", "between 1 and"},
      {"duration: 1h\nnodes: [{name: m, cpu: much}]", "nodes[0].cpu", "\"much\""},
      {"duration: 1h\nnodes: [{name: m}]\nnetwork: {mode: wire}", "network.mode",
       "\"wire\": supported values: \"direct\", \"rpc\""},
      {"duration: 1h\nnodes: [{name: m}]\nnetwork: {mode: direct, delay: 1ms}", "network.delay",
       "say mode: rpc"},
      {"duration: 1h\nnodes: [{name: m}]\nnetwork: {loss: 120%}", "network.loss", "\"120%\""},
      {"duration: 1h\nnodes: [{name: m}]\nheartbeat: 1m\nnodeGrace: 30s", "nodeGrace",
       "longer than heartbeat"},
      {"duration: 1h\nnodes: [{name: m, behaviour: {startDelay: {gauss: 1s}}}]",
       "nodes[0].behaviour.startDelay", "lognormal"},
      {"duration: 1h\nnodes: [{name: m, behaviour: {crashes: 200%}}]", "nodes[0].behaviour.crashes",
       "at most 100%"},
      {"duration: 1h\nnodes: [{name: m}]\nworkloads: [{name: w, shapes: [{cpu: 1, memory: 1Gi}]}]",
       "workloads[0].every", "between two arrivals"},
      {"duration: 1h\nnodes: [{name: m}]\nworkloads: [{name: w, every: 1s}]", "workloads[0].shapes",
       "either shapes or zipf"},
      {"duration: 1h\nnodes: [{name: m}]\nworkloads: [{name: w, kind: Cron, every: 1s, shapes: "
       "[{cpu: 1, memory: 1Gi}]}]",
       "workloads[0].kind", "\"Cron\""},
      {"duration: 1h\nnodes: [{name: m}]\nworkloads: [{name: w, kind: Job, every: 1s, shapes: "
       "[{cpu: 1, memory: 1Gi}]}]",
       "workloads[0].lifetime", "how long the pods of a Job run"},
      {"duration: 1h\nnodes: [{name: m}]\nworkloads: [{name: w, trace: bad.csv}]",
       "workloads[0].trace", "bad.csv:2"},
      {"duration: 1h\nnodes: [{name: m}]\nworkloads: [{name: w, trace: gone.csv}]",
       "workloads[0].trace", "gone.csv is not there"},
      {"duration: 1h\nnodes: [{name: m}]\nfaults: {timeline: [{kind: reset, nodes: x9, at: 1s}]}",
       "faults.timeline[0].nodes", "x9"},
      {"duration: 1h\nnodes: [{name: m}]\nfaults: {timeline: [{kind: server-kill, nodes: m1, at: "
       "1s}]}",
       "faults.timeline[0].nodes", "one server"},
      {"duration: 1h\nnodes: [{name: m}]\nnetwork: {mode: direct}\nfaults: {timeline: [{kind: "
       "loss, "
       "loss: 1%, nodes: m1, at: 1s}]}",
       "faults.timeline[0].kind", "say rpc"},
  };
  for (const Fault& fault : kFaults) {
    const Status status =
        readScenario(fault.text, {}, {{"bad.csv", "arrival\n1s,x,1,1Gi\n"}}).status();
    ASSERT_FALSE(status.ok()) << fault.text;
    bool found = false;
    for (const auto& cause : status.causes()) {
      found = found || (cause.field == fault.field &&
                        cause.message.find(fault.message) != std::string::npos);
    }
    EXPECT_TRUE(found) << fault.text << ": no complaint of " << fault.field;
  }
  EXPECT_THAT(readScenario("duration: 1h\nnodse: []").status().message(), HasSubstr("nodse"));
}

TEST(ScenarioTest, ArrivalsFollowTheirDistribution) {
  const Scenario scenario = goodScenario(R"(
duration: 1h
nodes: [{name: m}]
workloads:
- name: w
  every: {exponential: 2s}
  size: 3
  start: 10s
  shapes: [{cpu: 100m, memory: 1Gi, weight: 3}, {cpu: 1, memory: 1Gi, weight: 1}]
)");
  Arrivals arrivals(scenario.workloads[0], 1);
  Duration last = seconds(10);
  int small = 0;
  for (int i = 0; i < 30'000; ++i) {
    const auto arrival = arrivals.next();
    ASSERT_TRUE(arrival);
    if (i % 3 != 0) EXPECT_EQ(arrival->at, last);
    last = arrival->at;
    small += arrival->shape.milliCpu == 100 ? 1 : 0;
  }
  EXPECT_NEAR(std::chrono::duration<double>(last).count(), 20'010, 500);
  EXPECT_NEAR(small, 22'500, 300);
}

TEST(ScenarioTest, TracesAreReadInTheOrderOfTheirArrivals) {
  const Scenario scenario = goodScenario(
      "duration: 1h\nnodes: [{name: m}]\nworkloads: [{name: w, kind: Deployment, trace: t.csv}]\n",
      {},
      {{"t.csv",
        "arrival,lifetime,cpu,memory,replicas\n90, 10m, 1, 1Gi, 4\n# later\n30s,,500m,64Mi\n"}});
  Arrivals arrivals(scenario.workloads[0], 1);
  const auto first = arrivals.next(), second = arrivals.next();
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(arrivals.next());
  EXPECT_EQ(first->at, seconds(30));
  EXPECT_FALSE(first->lifetime);
  EXPECT_EQ(first->shape.milliCpu, 500);
  EXPECT_EQ(second->at, seconds(90));
  EXPECT_EQ(second->lifetime, std::chrono::minutes(10));
  EXPECT_EQ(second->replicas, 4);
}

}  // namespace
}  // namespace podlab::sim
