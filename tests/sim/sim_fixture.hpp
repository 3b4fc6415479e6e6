#pragma once
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "sim/scenario.hpp"
#include "sim/world.hpp"
#include "tests/fakes/quiet.hpp"

namespace podlab::sim {

inline Result<Scenario> readScenario(const std::string& text,
                                     const ScenarioOverrides& overrides = {},
                                     const std::map<std::string, std::string>& files = {}) {
  const auto readFile = [&files](const std::string& path) -> Result<std::string> {
    const auto it = files.find(path);
    if (it == files.end()) return Status(Code::kNotFound, path + " is not there");
    return it->second;
  };
  return parseScenario("apiVersion: podlab.io/v1alpha1\nkind: Scenario\n" + text, overrides,
                       readFile);
}

/// One that must be good.
inline Scenario goodScenario(const std::string& text, const ScenarioOverrides& overrides = {},
                             const std::map<std::string, std::string>& files = {}) {
  auto scenario = readScenario(text, overrides, files);
  const Status status = scenario.status();
  EXPECT_TRUE(status.ok()) << status.toString();
  for (const auto& cause : status.causes()) ADD_FAILURE() << cause.field << ": " << cause.message;
  return std::move(scenario).valueOr({});
}

inline Outcome runScenario(Scenario scenario, WorldOptions options = {}) {
  World world(std::move(scenario), std::move(options));
  auto outcome = world.run();
  EXPECT_TRUE(outcome.ok()) << outcome.status().toString();
  return std::move(outcome).valueOr({});
}

}  // namespace podlab::sim
