#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/filesystem.hpp"
#include "common/status.hpp"
#include "common/time.hpp"
#include "node/container_cgroup.hpp"

namespace podlab::node {

/// What a node is short of.
struct NodePressure {
  bool memory = false;
  bool disk = false;
  bool pids = false;
  bool operator==(const NodePressure&) const = default;
};

/// How much is left of what, by kubelet's signals: "memory.available", "nodefs.available",
/// "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree", "pid.available".
struct Signal {
  std::int64_t available = 0;
  std::int64_t capacity = 0;
};
using Signals = std::map<std::string, Signal>;

/// Below what a signal means pressure: "100Mi", or "10%" of the capacity.
using Thresholds = std::map<std::string, std::string>;
/// kubelet's --eviction-hard.
Thresholds defaultThresholds();
/// "memory.available<100Mi,nodefs.available<10%" over the defaults; kInvalid names what is wrong.
Result<Thresholds> parseThresholds(const std::string& text);

NodePressure judgePressure(const Signals& signals, const Thresholds& thresholds);

/// As they are now: the disk of `folder`, memory and pids of the machine and, where less is left,
/// of the node's ceiling.
Signals readSignals(Filesystem& files, const std::string& folder, const NodeCgroups& node,
                    std::int64_t nodeMemory);

/// A pressure counts for five minutes after it was last there, as in kubelet
/// (--eviction-pressure-transition-period), so that the node does not flap.
class PressureMemory {
 public:
  NodePressure update(const NodePressure& seen, MonoTime now);

 private:
  std::optional<MonoTime> memory_, disk_, pids_;
};

}  // namespace podlab::node
