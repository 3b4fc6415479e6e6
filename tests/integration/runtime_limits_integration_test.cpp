// Containers in cgroups of their own, on whatever layout this host has.
#include <signal.h>

#include "tests/integration/runtime_world.hpp"

namespace podlab::node {
namespace {

/// Skips where the host gives no cgroups.
void inLimitedWorld(const std::function<void(RuntimeFixture&)>& body) {
  if (const auto found = Cgroups::find(); !found.reason().empty()) GTEST_SKIP() << found.reason();
  inWorld(Privilege::kRoot, body);
}

std::string number(const std::string& file) {
  const auto found = readCgroupNumber(file);
  return found ? std::to_string(*found) : "none";
}

TEST(RuntimeLimits, AreInTheCgroupsFiles) {
  inLimitedWorld([](RuntimeFixture& fixture) {
    auto spec = fixture.spec("pod_app_0", {"/bin/sleep", "1000"});
    spec.limits = {512, 50'000, 64 << 20, 20};
    spec.podLimits = {1024, 80'000, 128 << 20, 40};
    ASSERT_EQ(fixture.run(fixture.runtime().start(spec)), Status());
    const auto file = [&](const char* controller, const char* v1, const char* v2) {
      const bool unified = fixture.cgroups().cgroups.of(controller)->unified;
      return fixture.cgroupOf("pod_app_0", controller) + "/" + (unified ? v2 : v1);
    };
    EXPECT_EQ(number(file("memory", "memory.limit_in_bytes", "memory.max")), "67108864");
    EXPECT_EQ(number(file("cpu", "cpu.cfs_quota_us", "cpu.max")), "50000");
    EXPECT_EQ(number(file("cpu", "cpu.shares", "cpu.weight")),
              fixture.cgroups().cgroups.of("cpu")->unified ? "20" : "512");
    EXPECT_EQ(number(file("pids", "pids.max", "pids.max")), "20");
    EXPECT_EQ(number(file("memory", "../memory.limit_in_bytes", "../memory.max")), "134217728");
    EXPECT_EQ(number(file("pids", "../pids.max", "../pids.max")), "40");
    // The program alone is in it: neither the shim nor, once it has ended, the runtime.
    while (number(file("pids", "pids.current", "pids.current")) != "1") fixture.step();

    ASSERT_EQ(fixture.run(fixture.runtime().remove("pod_app_0")), Status());
    EXPECT_FALSE(fixture.files().exists(fixture.cgroupOf("pod_app_0", "memory")));
    EXPECT_FALSE(fixture.files().exists(fixture.cgroupOf("pod_app_0", "memory") + "/.."));
  });
}

TEST(RuntimeLimits, AMemoryHogIsKilledAndSaidToBe) {
  inLimitedWorld([](RuntimeFixture& fixture) {
    auto hog = fixture.spec("pod_hog_0", {"/usr/bin/tail", "/dev/zero"});
    hog.limits.memory = 24 << 20;
    // Its shell passes on that a child was killed.
    auto parent = fixture.spec("pod_parent_0", {"/bin/sh", "-c", "tail /dev/zero; exit $?"});
    parent.limits.memory = 24 << 20;
    auto killed = fixture.spec("pod_killed_0", {"/bin/sh", "-c", "kill -9 $$"});
    killed.limits.memory = 24 << 20;
    auto calm = fixture.spec("pod_calm_0", {"/bin/sh", "-c", "tail /dev/zero; exit 0"});
    calm.limits.memory = 24 << 20;
    for (const auto& status : fixture.startAll({hog, parent, calm})) EXPECT_EQ(status, Status());
    const auto end = fixture.waitForExit("pod_hog_0");
    EXPECT_TRUE(end.oomKilled);
    EXPECT_EQ(end.signal, SIGKILL);
    const auto passed = fixture.waitForExit("pod_parent_0");
    EXPECT_TRUE(passed.oomKilled);
    EXPECT_EQ(passed.exitCode, 137);
    if (!fixture.cgroups().cgroups.of("memory")->unified) {
      EXPECT_FALSE(fixture.waitForExit("pod_calm_0").oomKilled);
    }
  });
}

TEST(RuntimeLimits, ALimitThatTheRuntimeItselfBreaksIsTheReason) {
  inLimitedWorld([](RuntimeFixture& fixture) {
    auto spec = fixture.spec("pod_tiny_0", {"/bin/true"});
    spec.limits.memory = 64 << 10;
    const Status status = fixture.run(fixture.runtime().start(spec));
    EXPECT_NE(status.message().find("OOM-killed (memory limit too low?)"), std::string::npos)
        << status.toString();
  });
}

TEST(RuntimeLimits, AForkBombIsStopped) {
  inLimitedWorld([](RuntimeFixture& fixture) {
    auto spec = fixture.spec(
        "pod_bomb_0", {"/bin/bash", "-c", "for i in $(seq 100); do sleep 1000 & done; sleep 1000"});
    spec.podLimits.pids = 20;
    ASSERT_EQ(fixture.run(fixture.runtime().start(spec)), Status());
    const std::string events = fixture.cgroupOf("pod_bomb_0", "pids") + "/../pids.current";
    // bash tries a failed fork again and again, and gives up in the end.
    while (readCgroupNumber(events).value_or(20) < 20) fixture.step();
    EXPECT_LE(readCgroupNumber(events).value_or(0), 20U);
    EXPECT_EQ(fixture.run(fixture.runtime().remove("pod_bomb_0")), Status());
  });
}

TEST(RuntimeLimits, AQuotaThrottles) {
  inLimitedWorld([](RuntimeFixture& fixture) {
    auto spec = fixture.spec("pod_spin_0", {"/bin/sh", "-c", "while :; do :; done"});
    spec.limits.cpuQuota = 10'000;
    ASSERT_EQ(fixture.run(fixture.runtime().start(spec)), Status());
    const std::string file = fixture.cgroupOf("pod_spin_0", "cpu") + "/cpu.stat";
    while (readCgroupNumber(file, "nr_throttled").value_or(0) == 0) fixture.step();
    EXPECT_EQ(fixture.run(fixture.runtime().remove("pod_spin_0")), Status());
  });
}

TEST(RuntimeLimits, WhatExecRunsIsInTheContainersCgroup) {
  inLimitedWorld([](RuntimeFixture& fixture) {
    auto spec = fixture.spec("pod_app_0", {"/bin/sleep", "1000"});
    ASSERT_EQ(fixture.run(fixture.runtime().start(spec)), Status());
    auto result = fixture.exec("pod_app_0", {{"/bin/cat", "/proc/self/cgroup"}});
    ASSERT_TRUE(result.ok()) << result.status().toString();
    const bool unified = fixture.cgroups().cgroups.isUnified();
    EXPECT_NE(
        result->out.find(unified ? "0::/\n"
                                 : "memory:/" + fixture.cgroups().container("pod", "pod_app_0")),
        std::string::npos)
        << result->out;
  });
}

}  // namespace
}  // namespace podlab::node
