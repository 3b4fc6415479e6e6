#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/object.hpp"
#include "common/cgroups.hpp"

namespace podlab::node {

/// What a cgroup holds its processes to; unset: nothing beyond the cgroup above.
struct CgroupLimits {
  std::optional<std::int64_t> cpuShares;  ///< version 1's weight of CPU time, 2 to 262144
  std::optional<std::int64_t> cpuQuota;   ///< microseconds of CPU time in each kCpuPeriod
  std::optional<std::int64_t> memory;     ///< bytes; swap is not given beside
  std::optional<std::int64_t> pids;
  bool operator==(const CgroupLimits&) const = default;
};

/// kubelet's period of CPU quotas, in microseconds.
inline constexpr std::int64_t kCpuPeriod = 100'000;

/// kubelet's conversions (pkg/kubelet/cm/helpers_linux.go): 1/1000 CPUs to shares and to quota,
/// with the kernel's least values (2; 1000 us). No CPU time at all is no quota.
std::int64_t cpuShares(std::int64_t milliCpu);
std::optional<std::int64_t> cpuQuota(std::int64_t milliCpu);
/// Shares (version 1) as weight (version 2), 1 to 10000: KEP-2254's formula.
std::int64_t cpuWeight(std::int64_t shares);

/// A container's limits: requests decide the shares (limits where there are none), limits the rest.
CgroupLimits containerLimits(const corev1::Container& container);
/// All of a pod's containers together: a limit holds for the pod where each container has one, as
/// in kubelet's ResourceConfigForPod(). `pids` is the node's option.
CgroupLimits podLimits(const corev1::Pod& pod, std::optional<std::int64_t> pids);
/// The ceiling of a node, from its declared capacity ("" for what is not).
CgroupLimits nodeLimits(const std::string& cpu, const std::string& memory);

/// How ready the kernel is to kill the container for lack of memory (proc_pid_oom_score_adj(5)), as
/// kubelet sets it by QoS class and by the share of the node's memory that is requested.
int oomScoreAdjustment(const corev1::Pod& pod, const corev1::Container& container,
                       std::int64_t nodeMemory);

/// One write to a cgroup's file.
struct CgroupSetting {
  std::string file;  ///< in the cgroup's folder
  std::string value;
  bool optional = false;  ///< kernels may lack the file
};
/// The files of a hierarchy's controllers that hold a cgroup to the limits.
std::vector<CgroupSetting> limitSettings(const CgroupHierarchy& hierarchy,
                                         const CgroupLimits& limits);
/// Version 1's rules of devices that a container may use, Docker's default: those of its /dev, and
/// the making of nodes of all.
std::vector<CgroupSetting> deviceSettings();

}  // namespace podlab::node
