#include "sim/world.hpp"

#include <gmock/gmock.h>

#include "tests/fakes/quiet.hpp"

namespace podlab::sim {
namespace {

using std::chrono::minutes;

Result<std::string> noFiles(const std::string& path) {
  return Status(Code::kNotFound, path + " is not there");
}

Scenario parse(const std::string& text, ScenarioOverrides overrides = {}) {
  auto scenario =
      parseScenario("apiVersion: podlab.io/v1alpha1\nkind: Scenario\n" + text, overrides, noFiles);
  const Status status = scenario.status();
  EXPECT_TRUE(status.ok()) << status.toString();
  for (const auto& cause : status.causes()) ADD_FAILURE() << cause.field << ": " << cause.message;
  return std::move(scenario).valueOr({});
}

Outcome run(Scenario scenario, WorldOptions options = {.checkInvariants = true}) {
  World world(std::move(scenario), std::move(options));
  auto outcome = world.run();
  EXPECT_TRUE(outcome.ok()) << outcome.status().toString();
  for (const auto& violation : outcome->violations) ADD_FAILURE() << violation;
  return std::move(outcome).valueOr({});
}

constexpr const char* kDeployment = R"(
duration: 10m
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
  const Outcome outcome = run(parse(kDeployment));
  EXPECT_EQ(outcome.samples.back().nodesReady, 10);
  EXPECT_EQ(outcome.samples.back().running, 25);
  EXPECT_EQ(outcome.totals.bound, 25u);
  EXPECT_NEAR(outcome.samples.back().cpu, 25 * 0.5 / 40, 1e-9);
  EXPECT_GT(outcome.watchEventsChecked, 50u);
}

}  // namespace
}  // namespace podlab::sim
