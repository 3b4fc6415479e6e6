#pragma once
#include <functional>
#include <string>

#include "tests/integration/runtime_fixture.hpp"

namespace podlab::node {

enum class Privilege { kRoot, kUser };

/// Runs `body` in a process of its own in new mount, PID, network, IPC and UTS namespaces, as a lab
/// has them: as root, or as an ordinary user in a user namespace. Its failures are the test's. All
/// that it made goes with it. Skips the test where the privilege is not to be had.
void inWorld(Privilege privilege, const std::function<void(RuntimeFixture&)>& body);

/// New network, IPC and UTS namespaces, pinned below `folder`, with `hostname`.
SandboxNamespaces makeSandbox(const std::string& folder, const std::string& hostname);

/// Tests that run with both privileges: INSTANTIATE_RUNTIME_TEST(Suite).
class RuntimeTest : public testing::TestWithParam<Privilege> {
 protected:
  void inWorld(const std::function<void(RuntimeFixture&)>& body) {
    podlab::node::inWorld(GetParam(), body);
  }
};

inline std::string privilegeName(const testing::TestParamInfo<Privilege>& info) {
  return info.param == Privilege::kRoot ? "AsRoot" : "AsUser";
}

#define INSTANTIATE_RUNTIME_TEST(Suite)                                                         \
  INSTANTIATE_TEST_SUITE_P(Runtime, Suite, testing::Values(Privilege::kRoot, Privilege::kUser), \
                           privilegeName)

}  // namespace podlab::node
