#pragma once
#include <gtest/gtest.h>

#include "common/log.hpp"

namespace podlab::fakes {

/// Failures that tests make on purpose are not worth a line each: what includes this logs nothing.
class Quiet final : public testing::Environment {
 public:
  void SetUp() override { initLogging(LogLevel::kOff, LogFormat::kText, ""); }
};

inline const auto* const kQuiet = testing::AddGlobalTestEnvironment(new Quiet);

}  // namespace podlab::fakes
