#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "agent_rpc.pb.h"

#include "node/container_cgroup.hpp"

namespace podlab::node {

/// What cgroups have used, at one moment.
struct UsageSample {
  std::uint64_t cpuNanos = 0;  ///< since the cgroup was made
  std::int64_t memory = 0;     ///< bytes of the working set
};

/// A cgroup's, as kubelet counts: the working set is all memory but the page cache that was not
/// used lately.
UsageSample readUsage(const Cgroups& cgroups, const std::string& path);

/// The node's ("" as pod and container) and its containers', by pod UID and container ID.
using UsageKey = std::pair<std::string, std::string>;
std::map<UsageKey, UsageSample> readNodeUsage(const NodeCgroups& node);

/// Rates between two samples, in the order of the keys.
rpc::UsageReport usageReport(const std::map<UsageKey, UsageSample>& before,
                             const std::map<UsageKey, UsageSample>& now, std::int64_t nanos);

}  // namespace podlab::node
