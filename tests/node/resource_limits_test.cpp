#include "node/resource_limits.hpp"

#include <gtest/gtest.h>

#include "node/usage.hpp"

namespace podlab::node {
namespace {

using Amounts = std::map<std::string, std::string>;

corev1::Container container(const Amounts& requests, const Amounts& limits) {
  corev1::Container made;
  made.set_name("c");
  for (const auto& [name, amount] : requests)
    (*made.mutable_resources()->mutable_requests())[name].set_string(amount);
  for (const auto& [name, amount] : limits)
    (*made.mutable_resources()->mutable_limits())[name].set_string(amount);
  return made;
}

corev1::Pod pod(const std::vector<corev1::Container>& containers) {
  corev1::Pod made;
  for (const auto& one : containers) *made.mutable_spec()->add_containers() = one;
  return made;
}

// The tables of kubelet's helpers_linux_test.go.
TEST(ResourceLimits, MilliCpuToShares) {
  for (const auto& [milli, shares] : std::map<std::int64_t, std::int64_t>{{0, 2},
                                                                          {1, 2},
                                                                          {2, 2},
                                                                          {3, 3},
                                                                          {100, 102},
                                                                          {200, 204},
                                                                          {500, 512},
                                                                          {1000, 1024},
                                                                          {1500, 1536},
                                                                          {256'000, 262'144},
                                                                          {1'000'000, 262'144}}) {
    EXPECT_EQ(cpuShares(milli), shares) << milli;
  }
}

TEST(ResourceLimits, MilliCpuToQuota) {
  EXPECT_EQ(cpuQuota(0), std::nullopt);
  for (const auto& [milli, quota] : std::map<std::int64_t, std::int64_t>{{5, 1000},
                                                                         {9, 1000},
                                                                         {10, 1000},
                                                                         {200, 20'000},
                                                                         {500, 50'000},
                                                                         {1000, 100'000},
                                                                         {1500, 150'000}}) {
    EXPECT_EQ(cpuQuota(milli), quota) << milli;
  }
}

TEST(ResourceLimits, SharesToWeight) {
  EXPECT_EQ(cpuWeight(2), 1);
  EXPECT_EQ(cpuWeight(1024), 39);
  EXPECT_EQ(cpuWeight(262'144), 10'000);
  EXPECT_EQ(cpuWeight(0), 1);
}

TEST(ResourceLimits, OfAContainer) {
  EXPECT_EQ(containerLimits(container({}, {})), (CgroupLimits{2, {}, {}, {}}));
  EXPECT_EQ(containerLimits(container({{"cpu", "250m"}}, {{"cpu", "1"}, {"memory", "64Mi"}})),
            (CgroupLimits{256, 100'000, 64 << 20, {}}));
  // Without a request the limit weighs.
  EXPECT_EQ(containerLimits(container({}, {{"cpu", "500m"}})), (CgroupLimits{512, 50'000, {}, {}}));
}

TEST(ResourceLimits, OfAPod) {
  const auto limited = container({{"cpu", "100m"}}, {{"cpu", "200m"}, {"memory", "100Mi"}});
  EXPECT_EQ(podLimits(pod({limited, limited}), std::nullopt),
            (CgroupLimits{204, 40'000, 200 << 20, {}}));
  // One container without a limit leaves the pod without.
  EXPECT_EQ(podLimits(pod({limited, container({{"cpu", "100m"}}, {{"cpu", "1"}})}), 100),
            (CgroupLimits{204, 120'000, {}, 100}));
  EXPECT_EQ(podLimits(pod({container({}, {})}), std::nullopt), (CgroupLimits{2, {}, {}, {}}));
  // An init container runs alone: the larger of both.
  auto withInit = pod({limited});
  *withInit.mutable_spec()->add_initcontainers() =
      container({{"cpu", "1"}}, {{"cpu", "1"}, {"memory", "50Mi"}});
  EXPECT_EQ(podLimits(withInit, std::nullopt), (CgroupLimits{1024, 100'000, 100 << 20, {}}));
}

TEST(ResourceLimits, OomScore) {
  const std::int64_t node = std::int64_t{4} << 30;
  const auto best = container({}, {});
  EXPECT_EQ(oomScoreAdjustment(pod({best}), best, node), 1000);
  const Amounts all{{"cpu", "1"}, {"memory", "1Gi"}};
  const auto guaranteed = container(all, all);
  EXPECT_EQ(oomScoreAdjustment(pod({guaranteed}), guaranteed, node), -997);
  const auto half = container({{"memory", "2Gi"}}, {});
  EXPECT_EQ(oomScoreAdjustment(pod({half}), half, node), 500);
  const auto whole = container({{"memory", "4Gi"}}, {});
  EXPECT_EQ(oomScoreAdjustment(pod({whole}), whole, node), 3);
  const auto cpuOnly = container({{"cpu", "1"}}, {});
  EXPECT_EQ(oomScoreAdjustment(pod({cpuOnly}), cpuOnly, node), 999);
}

std::string text(const std::vector<CgroupSetting>& settings) {
  std::string all;
  for (const auto& one : settings) all += one.file + "=" + one.value + "\n";
  return all;
}

TEST(ResourceLimits, FilesOfBothVersions) {
  const CgroupLimits limits{512, 50'000, 1 << 20, 10};
  EXPECT_EQ(text(limitSettings({"", {"cpu", "memory", "pids"}, true}, limits)),
            "cpu.weight=20\ncpu.max=50000 100000\nmemory.max=1048576\nmemory.swap.max=0\n"
            "pids.max=10\n");
  EXPECT_EQ(text(limitSettings({"", {"cpu"}, false}, limits)),
            "cpu.shares=512\ncpu.cfs_period_us=100000\ncpu.cfs_quota_us=50000\n");
  EXPECT_EQ(text(limitSettings({"", {"memory"}, false}, limits)),
            "memory.limit_in_bytes=1048576\nmemory.memsw.limit_in_bytes=1048576\n");
  EXPECT_EQ(text(limitSettings({"", {"memory"}, false}, CgroupLimits())), "");
}

TEST(ResourceLimits, ThePlanOfVersion2DividesThePod) {
  const NodeCgroups node{Cgroups({{"/cg", {"cpu", "memory", "pids"}, true}}, ""), "podlab/l/n"};
  ContainerSpec spec;
  spec.podUid = "uid";
  spec.id = "uid_c_0";
  const auto plan = planCgroup(node, spec);
  EXPECT_EQ(plan.folders,
            (std::vector<std::string>{"/cg/podlab/l/n/uid", "/cg/podlab/l/n/uid/uid_c_0"}));
  ASSERT_FALSE(plan.writes.empty());
  EXPECT_EQ(plan.writes[0].file, "/cg/podlab/l/n/uid/cgroup.subtree_control");
  EXPECT_EQ(plan.writes[0].value, "+cpu +memory +pids");
  EXPECT_EQ(plan.oomFile, "/cg/podlab/l/n/uid/uid_c_0/memory.events");
  EXPECT_EQ(plan.processFiles, std::vector<std::string>{"/cg/podlab/l/n/uid/uid_c_0/cgroup.procs"});
}

TEST(ResourceLimits, UsageIsARateBetweenSamples) {
  const UsageKey node{"", ""}, web{"uid", "uid_web_3"}, fresh{"uid", "uid_new_0"};
  const auto report =
      usageReport({{node, {1000, 5}}, {web, {500, 5}}},
                  {{node, {2001000, 70}}, {web, {1000500, 60}}, {fresh, {7, 7}}}, 10'000'000);
  EXPECT_EQ(report.node().nanocores(), 200'000'000);
  EXPECT_EQ(report.node().memorybytes(), 70);
  ASSERT_EQ(report.containers_size(), 1);
  EXPECT_EQ(report.containers(0).container(), "web");
  EXPECT_EQ(report.containers(0).nanocores(), 100'000'000);
}

}  // namespace
}  // namespace podlab::node
