#include "node/resource_limits.hpp"

#include <algorithm>

#include "api/pod_resources.hpp"

namespace podlab::node {
namespace {

constexpr std::int64_t kMinShares = 2;
constexpr std::int64_t kMaxShares = 262'144;
constexpr std::int64_t kSharesPerCpu = 1024;
constexpr std::int64_t kMinQuota = 1000;
constexpr std::int64_t kMilliPerCpu = 1000;

constexpr int kGuaranteedOom = -997;
constexpr int kBestEffortOom = 1000;

const api::Quantity* find(const api::ResourceList& list, const char* name) {
  const auto found = list.find(name);
  return found == list.end() ? nullptr : &found->second;
}

/// Whether each container has a limit of that name.
bool allLimited(const corev1::Pod& pod, const char* name) {
  const auto limited = [name](const corev1::Container& container) {
    const auto limit = container.resources().limits().find(name);
    return limit != container.resources().limits().end() &&
           !api::Quantity::read(limit->second).isZero();
  };
  return std::ranges::all_of(pod.spec().containers(), limited) &&
         std::ranges::all_of(pod.spec().initcontainers(), limited);
}

bool has(const CgroupHierarchy& hierarchy, std::string_view controller) {
  return std::ranges::find(hierarchy.controllers, controller) != hierarchy.controllers.end();
}

}  // namespace

std::int64_t cpuShares(std::int64_t milliCpu) {
  return std::clamp(milliCpu * kSharesPerCpu / kMilliPerCpu, kMinShares, kMaxShares);
}

std::optional<std::int64_t> cpuQuota(std::int64_t milliCpu) {
  if (milliCpu <= 0) return std::nullopt;
  return std::max(milliCpu * kCpuPeriod / kMilliPerCpu, kMinQuota);
}

std::int64_t cpuWeight(std::int64_t shares) {
  shares = std::clamp(shares, kMinShares, kMaxShares);
  return 1 + ((shares - kMinShares) * 9999) / (kMaxShares - kMinShares);
}

CgroupLimits containerLimits(const corev1::Container& container) {
  const auto requests = api::toResourceList(container.resources().requests());
  const auto limits = api::toResourceList(container.resources().limits());
  const auto* request = find(requests, "cpu");
  const auto* limit = find(limits, "cpu");
  CgroupLimits made;
  const auto* weight =
      request == nullptr || (request->isZero() && limit != nullptr) ? limit : request;
  made.cpuShares = cpuShares(weight != nullptr ? weight->milliValue() : 0);
  if (limit != nullptr) made.cpuQuota = cpuQuota(limit->milliValue());
  if (const auto* memory = find(limits, "memory"); memory != nullptr && !memory->isZero())
    made.memory = memory->value();
  return made;
}

CgroupLimits podLimits(const corev1::Pod& pod, std::optional<std::int64_t> pids) {
  CgroupLimits made;
  made.pids = pids;
  const auto requests = api::podRequests(pod);
  const auto limits = api::podLimits(pod);
  const auto* request = find(requests, "cpu");
  made.cpuShares = cpuShares(request != nullptr ? request->milliValue() : 0);
  if (const auto* cpu = find(limits, "cpu"); cpu != nullptr && allLimited(pod, "cpu"))
    made.cpuQuota = cpuQuota(cpu->milliValue());
  if (const auto* memory = find(limits, "memory"); memory != nullptr && allLimited(pod, "memory"))
    made.memory = memory->value();
  return made;
}

CgroupLimits nodeLimits(const std::string& cpu, const std::string& memory) {
  CgroupLimits made;
  if (const auto amount = api::Quantity::parse(cpu); amount.ok()) {
    made.cpuShares = cpuShares(amount->milliValue());
    made.cpuQuota = cpuQuota(amount->milliValue());
  }
  if (const auto amount = api::Quantity::parse(memory); amount.ok()) made.memory = amount->value();
  return made;
}

int oomScoreAdjustment(const corev1::Pod& pod, const corev1::Container& container,
                       std::int64_t nodeMemory) {
  const std::string qos = api::qosClass(pod);
  if (qos == "Guaranteed") return kGuaranteedOom;
  if (qos == "BestEffort") return kBestEffortOom;
  const auto requests = api::toResourceList(container.resources().requests());
  const auto* memory = find(requests, "memory");
  if (memory == nullptr || nodeMemory <= 0) return kBestEffortOom - 1;
  const __int128 share = static_cast<__int128>(memory->value()) * 1000 / nodeMemory;
  const auto adjustment = static_cast<int>(std::max<__int128>(1000 - share, 0));
  // Never below a guaranteed pod's, never as high as a best-effort one's.
  return std::clamp(adjustment, kBestEffortOom + kGuaranteedOom, kBestEffortOom - 1);
}

std::vector<CgroupSetting> limitSettings(const CgroupHierarchy& hierarchy,
                                         const CgroupLimits& limits) {
  std::vector<CgroupSetting> settings;
  const bool v2 = hierarchy.unified;
  const auto set = [&settings](const char* file, std::int64_t value, bool optional = false) {
    settings.push_back({file, std::to_string(value), optional});
  };
  if (has(hierarchy, "cpu") && limits.cpuShares) {
    if (v2) {
      set("cpu.weight", cpuWeight(*limits.cpuShares));
    } else {
      set("cpu.shares", *limits.cpuShares);
    }
  }
  if (has(hierarchy, "cpu") && limits.cpuQuota) {
    if (v2) {
      settings.push_back(
          {"cpu.max", std::to_string(*limits.cpuQuota) + " " + std::to_string(kCpuPeriod)});
    } else {
      set("cpu.cfs_period_us", kCpuPeriod);
      set("cpu.cfs_quota_us", *limits.cpuQuota);
    }
  }
  if (has(hierarchy, "memory") && limits.memory) {
    set(v2 ? "memory.max" : "memory.limit_in_bytes", *limits.memory);
    // Version 1 counts memory and swap together.
    set(v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes", v2 ? 0 : *limits.memory, true);
  }
  if (has(hierarchy, "pids") && limits.pids) set("pids.max", *limits.pids);
  return settings;
}

std::vector<CgroupSetting> deviceSettings() {
  std::vector<CgroupSetting> settings{{"devices.deny", "a"}};
  // null, zero, full, random, urandom, tty, console, ptmx, pts/*.
  for (const char* rule : {"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm",
                           "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"}) {
    settings.push_back({"devices.allow", rule});
  }
  return settings;
}

}  // namespace podlab::node
