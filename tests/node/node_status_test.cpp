#include "node/node_status.hpp"

#include <gtest/gtest.h>

#include "node/simulated_filesystem.hpp"

namespace podlab::node {
namespace {

TEST(NodeCapacity, IsTheMachines) {
  SimulatedFilesystem simulated;
  Filesystem& files = simulated;
  ASSERT_TRUE(files
                  .writeFileAtomic("/proc/meminfo",
                                   "HugePages_Total:       0\n"
                                   "MemTotal:       24629344 kB\n"
                                   "MemFree:         1234567 kB\n")
                  .ok());
  const auto capacity = readCapacity(files);
  EXPECT_EQ(capacity.at("memory"), "24629344Ki");
  EXPECT_GE(std::stoi(capacity.at("cpu")), 1);
}

}  // namespace
}  // namespace podlab::node
