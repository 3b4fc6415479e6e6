#include "sim/world.hpp"

#include <gmock/gmock.h>

#include "tests/sim/sim_fixture.hpp"

namespace podlab::sim {
namespace {

using std::chrono::minutes;
using ::testing::IsEmpty;

constexpr const char* kDeployment = R"(
duration: 6m
nodes:
- {name: node, count: 10, cpu: 4, memory: 8Gi, zones: [a, b]}
workloads:
- name: web
  kind: Deployment
  every: 1m
  limit: 1
  replicas: 25
  shapes: [{cpu: 500m, memory: 256Mi}]
)";

TEST(WorldTest, TenNodesRunADeployment) {
  const Outcome outcome = runScenario(goodScenario(kDeployment), {.checkInvariants = true});
  EXPECT_THAT(outcome.violations, IsEmpty());
  EXPECT_EQ(outcome.samples.back().nodesReady, 10);
  EXPECT_EQ(outcome.samples.back().running, 25);
  EXPECT_EQ(outcome.totals.bound, 25u);
  EXPECT_NEAR(outcome.samples.back().cpu, 25 * 0.5 / 40, 1e-9);
  EXPECT_GT(outcome.watchEventsChecked, 50u);
}

TEST(WorldTest, DirectCallsGiveTheSameClusterWithoutANetwork) {
  const Outcome outcome =
      runScenario(goodScenario(std::string(kDeployment) + "network: {mode: direct}\n"));
  EXPECT_EQ(outcome.samples.back().running, 25);
  EXPECT_EQ(outcome.packets, 0u);
}

TEST(WorldTest, PodsComeRunForTheirTimeAndGo) {
  const Outcome outcome = runScenario(goodScenario(R"(
duration: 10m
network: {mode: direct}
nodes: [{name: node, count: 3, cpu: 4, memory: 8Gi}]
workloads:
- {name: pods, every: 10s, limit: 12, lifetime: 30s, shapes: [{cpu: 1, memory: 1Gi}]}
- {name: jobs, kind: Job, every: 1m, limit: 2, replicas: 3, lifetime: 20s, shapes: [{cpu: 1, memory: 1Gi}]}
)"));
  EXPECT_EQ(outcome.totals.created, 18u);
  EXPECT_EQ(outcome.totals.succeeded, 18u);
  EXPECT_EQ(outcome.totals.deleted, 18u);
  EXPECT_EQ(outcome.samples.back().bound, 0);
  EXPECT_EQ(outcome.samples.back().cpu, 0);
}

TEST(WorldTest, APodOfADeadNodeIsReplaced) {
  const Outcome outcome = runScenario(goodScenario(R"(
duration: 12m
network: {mode: direct}
nodes: [{name: node, count: 3, cpu: 4, memory: 8Gi}]
workloads:
- {name: web, kind: Deployment, every: 10s, limit: 1, replicas: 6, shapes: [{cpu: 1, memory: 1Gi}]}
faults: {timeline: [{kind: node-kill, nodes: node1, at: 2m, for: 1h}]}
)"));
  EXPECT_EQ(outcome.faults, 1u);
  EXPECT_EQ(outcome.totals.evicted, 2u);
  EXPECT_EQ(outcome.totals.created, 8u);
  EXPECT_EQ(outcome.samples.back().nodesReady, 2);
}

TEST(WorldTest, TheSeedDecides) {
  const std::string text = R"(
duration: 4m
network: {jitter: 3ms, loss: 1%}
nodes: [{name: node, count: 4, cpu: 4, memory: 8Gi, behaviour: {startDelay: {exponential: 1s}}}]
workloads:
- {name: p, every: {exponential: 5s}, lifetime: {exponential: 20s}, shapes: [{cpu: 1, memory: 1Gi}]}
faults: {timeline: [{kind: server-kill, at: 1m, for: 10s}, {kind: node-kill, nodes: "*", pick: 1, at: 2m, for: 20s}]}
)";
  const auto run = [&](std::uint64_t seed) {
    ScenarioOverrides overrides;
    overrides.seed = seed;
    return runScenario(goodScenario(text, overrides));
  };
  const Outcome one = run(1), again = run(1), other = run(2);
  EXPECT_EQ(one.placementHash, again.placementHash);
  EXPECT_EQ(one.events, again.events);
  EXPECT_EQ(one.packetsLost, again.packetsLost);
  EXPECT_NE(one.placementHash, other.placementHash);
}

}  // namespace
}  // namespace podlab::sim
