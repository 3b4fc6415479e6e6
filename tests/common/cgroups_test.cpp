#include "common/cgroups.hpp"

#include <gtest/gtest.h>

#include <map>

namespace podlab {
namespace {

/// A host of a test: what may be used, and what files say.
struct Host {
  std::vector<std::string> usable;
  std::map<std::string, std::string> files;
};
Host* host = nullptr;

bool mayMove(const std::string& folder) {
  return std::find(host->usable.begin(), host->usable.end(), folder) != host->usable.end();
}
std::string read(const std::string& file) {
  const auto found = host->files.find(file);
  return found == host->files.end() ? "" : found->second;
}

Cgroups find(Host& one, const std::string& mountinfo, const std::string& own) {
  host = &one;
  return readCgroups(mountinfo, own, mayMove, read);
}

constexpr const char* kUnified =
    "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

TEST(Cgroups, Version2AsRoot) {
  Host one{{"/sys/fs/cgroup", "/sys/fs/cgroup/user.slice"},
           {{"/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma\n"}}};
  const auto found = find(one, kUnified, "0::/user.slice/session-1.scope\n");
  ASSERT_EQ(found.hierarchies().size(), 1U);
  EXPECT_EQ(found.hierarchies()[0].base, "/sys/fs/cgroup");
  EXPECT_EQ(found.hierarchies()[0].controllers,
            (std::vector<std::string>{"cpu", "memory", "pids"}));
  EXPECT_TRUE(found.isUnified());
  EXPECT_EQ(found.of("freezer"), found.of("memory"));
  EXPECT_EQ(found.reason(), "");
  EXPECT_EQ(found.folders("podlab/x"), std::vector<std::string>{"/sys/fs/cgroup/podlab/x"});
}

TEST(Cgroups, Version2DelegatedByTheUsersManager) {
  const std::string service = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";
  Host one{{service, service + "/app.slice", service + "/app.slice/t.scope"},
           {{service + "/cgroup.controllers", "cpu memory pids\n"},
            {service + "/cgroup.subtree_control", "cpu memory pids\n"},
            {service + "/cgroup.type", "domain\n"}}};
  const auto found =
      find(one, kUnified, "0::/user.slice/user-1000.slice/user@1000.service/app.slice/t.scope\n");
  ASSERT_EQ(found.hierarchies().size(), 1U);
  EXPECT_EQ(found.hierarchies()[0].base, service);
}

TEST(Cgroups, Version2InASessionIsNotDelegated) {
  Host one{{}, {{"/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n"}}};
  const auto found = find(one, kUnified, "0::/user.slice/user-1000.slice/session-1.scope\n");
  EXPECT_TRUE(found.hierarchies().empty());
  EXPECT_NE(found.reason().find("memory: /sys/fs/cgroup is not delegated to this user"),
            std::string::npos)
      << found.reason();
}

TEST(Cgroups, Version2WithProcessesCannotBeDivided) {
  Host one{{"/sys/fs/cgroup"},
           {{"/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n"},
            {"/sys/fs/cgroup/cgroup.type", "domain\n"},
            {"/sys/fs/cgroup/cgroup.procs", "1\n"}}};
  EXPECT_NE(find(one, kUnified, "0::/\n").reason().find("has processes of its own"),
            std::string::npos);
}

constexpr const char* kHybrid =
    "1 0 0:1 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "2 1 0:2 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "3 1 0:3 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "4 1 0:4 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    "5 1 0:5 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
    "6 1 0:6 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

TEST(Cgroups, HybridUsesVersion1) {
  Host one{{"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids",
            "/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified"},
           {{"/sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n"}}};
  const auto found = find(one, kHybrid, "3:memory:/a\n2:cpu,cpuacct:/\n0::/\n");
  ASSERT_EQ(found.hierarchies().size(), 4U);
  EXPECT_EQ(found.of("freezer")->base, "/sys/fs/cgroup/freezer");
  EXPECT_EQ(found.of("cpu"), found.of("cpuacct"));
  EXPECT_EQ(found.of("memory")->base, "/sys/fs/cgroup/memory");
  EXPECT_EQ(found.of("devices"), nullptr);
  EXPECT_FALSE(found.isUnified());
  EXPECT_EQ(found.reason(), "");
}

TEST(Cgroups, WhatIsMissingIsNamed) {
  Host one{{"/sys/fs/cgroup/cpu,cpuacct"}, {}};
  EXPECT_EQ(
      find(one, kHybrid, "").reason(),
      "memory: /sys/fs/cgroup/memory is not writable: run as root; pids: /sys/fs/cgroup/pids is "
      "not writable: run as root");
  EXPECT_EQ(
      find(one, "", "").reason(),
      "cpu: no cgroup hierarchy here has the controller; memory: no cgroup hierarchy here has "
      "the controller; pids: no cgroup hierarchy here has the controller");
}

}  // namespace
}  // namespace podlab
