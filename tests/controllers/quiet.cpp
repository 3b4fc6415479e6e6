#include <gtest/gtest.h>

#include "common/log.hpp"

namespace podlab::controllers {
namespace {

/// Failures that the tests make on purpose are not worth a line each.
class Quiet final : public ::testing::Environment {
 public:
  void SetUp() override { initLogging(LogLevel::kOff, LogFormat::kText, ""); }
};

const auto* const kQuiet = ::testing::AddGlobalTestEnvironment(new Quiet);

}  // namespace
}  // namespace podlab::controllers
