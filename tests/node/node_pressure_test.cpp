#include "node/node_pressure.hpp"

#include <gtest/gtest.h>

namespace podlab::node {
namespace {

TEST(NodePressure, KubeletsThresholds) {
  const auto judge = [](const char* signal, std::int64_t available, std::int64_t capacity) {
    return judgePressure({{signal, {available, capacity}}}, defaultThresholds());
  };
  EXPECT_EQ(judge("nodefs.available", 10, 100), NodePressure());
  EXPECT_TRUE(judge("nodefs.available", 9, 100).disk);
  EXPECT_TRUE(judge("imagefs.available", 14, 100).disk);
  EXPECT_TRUE(judge("nodefs.inodesFree", 4, 100).disk);
  EXPECT_EQ(judge("nodefs.inodesFree", 0, 0), NodePressure());
  EXPECT_TRUE(judge("memory.available", (100 << 20) - 1, 1 << 30).memory);
  EXPECT_FALSE(judge("memory.available", 100 << 20, 1 << 30).memory);
  EXPECT_TRUE(judge("pid.available", 3, 100).pids);
}

TEST(NodePressure, ThresholdsAreSettable) {
  const auto thresholds = parseThresholds("nodefs.available<1%,memory.available<1Gi");
  ASSERT_TRUE(thresholds.ok());
  EXPECT_EQ(judgePressure({{"nodefs.available", {2, 100}}}, *thresholds), NodePressure());
  EXPECT_TRUE(judgePressure({{"memory.available", {1 << 20, 1 << 30}}}, *thresholds).memory);
  EXPECT_EQ(thresholds->at("imagefs.available"), "15%");
  for (const char* text :
       {"nodefs.available", "disk<1%", "nodefs.available<x", "nodefs.available<-1%"})
    EXPECT_FALSE(parseThresholds(text).ok()) << text;
}

TEST(NodePressure, StaysForFiveMinutes) {
  PressureMemory memory;
  const MonoTime start{};
  EXPECT_FALSE(memory.update({}, start).disk);
  EXPECT_TRUE(memory.update({false, true, false}, start).disk);
  EXPECT_TRUE(memory.update({}, start + std::chrono::minutes(4)).disk);
  EXPECT_FALSE(memory.update({}, start + std::chrono::minutes(5)).disk);
}

}  // namespace
}  // namespace podlab::node
