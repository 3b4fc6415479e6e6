#include "node/usage.hpp"

#include <algorithm>

#include "node/container_id.hpp"

namespace podlab::node {
namespace {

constexpr std::uint64_t kNanosPerMicro = 1000;
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

/// The container's name; of a cgroup that is not a container's, its own.
std::string nameIn(const std::string& id) {
  const auto parsed = ContainerId::parse(id);
  return parsed ? parsed->name : id;
}

}  // namespace

UsageSample readUsage(const Cgroups& cgroups, const std::string& path) {
  UsageSample sample;
  if (const auto* memory = cgroups.of("memory")) {
    const std::string folder = memory->base + "/" + path;
    const auto all =
        readCgroupNumber(folder + (memory->unified ? "/memory.current" : "/memory.usage_in_bytes"));
    const auto idle = readCgroupNumber(folder + "/memory.stat",
                                       memory->unified ? "inactive_file" : "total_inactive_file");
    sample.memory = std::max<std::int64_t>(
        static_cast<std::int64_t>(all.value_or(0)) - static_cast<std::int64_t>(idle.value_or(0)),
        0);
  }
  if (const auto* time = cgroups.of("cpuacct")) {
    sample.cpuNanos = readCgroupNumber(time->base + "/" + path + "/cpuacct.usage").value_or(0);
  } else if (const auto* cpu = cgroups.of("cpu"); cpu != nullptr && cpu->unified) {
    sample.cpuNanos =
        kNanosPerMicro *
        readCgroupNumber(cpu->base + "/" + path + "/cpu.stat", "usage_usec").value_or(0);
  }
  return sample;
}

std::map<UsageKey, UsageSample> readNodeUsage(const NodeCgroups& node) {
  std::map<UsageKey, UsageSample> all;
  if (!node.any()) return all;
  all[{"", ""}] = readUsage(node.cgroups, node.path);
  const auto* memory = node.cgroups.of("memory");
  const auto& listed = memory != nullptr ? *memory : node.cgroups.hierarchies().front();
  for (const auto& pod : cgroupsIn(listed.base + "/" + node.path)) {
    for (const auto& id : cgroupsIn(listed.base + "/" + node.pod(pod)))
      all[{pod, id}] = readUsage(node.cgroups, node.container(pod, id));
  }
  return all;
}

rpc::UsageReport usageReport(const std::map<UsageKey, UsageSample>& before,
                             const std::map<UsageKey, UsageSample>& now, std::int64_t nanos) {
  rpc::UsageReport report;
  for (const auto& [key, sample] : now) {
    const auto earlier = before.find(key);
    if (earlier == before.end() || sample.cpuNanos < earlier->second.cpuNanos || nanos <= 0)
      continue;
    const __int128 used = sample.cpuNanos - earlier->second.cpuNanos;
    rpc::Usage& usage = key.second.empty() ? *report.mutable_node() : *report.add_containers();
    usage.set_poduid(key.first);
    usage.set_container(nameIn(key.second));
    usage.set_nanocores(static_cast<std::int64_t>(used * kNanosPerSecond / nanos));
    usage.set_memorybytes(sample.memory);
  }
  return report;
}

}  // namespace podlab::node
