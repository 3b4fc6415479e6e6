#include "node/node_pressure.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <sstream>

#include "api/quantity.hpp"
#include "node/usage.hpp"

namespace podlab::node {
namespace {

constexpr Duration kTransitionPeriod = std::chrono::minutes(5);

/// The least amount that is enough; nullopt when malformed.
std::optional<std::int64_t> leastOf(const std::string& threshold, std::int64_t capacity) {
  if (threshold.ends_with('%')) {
    const auto share = api::Quantity::parse(threshold.substr(0, threshold.size() - 1));
    if (!share.ok() || share->isNegative()) return std::nullopt;
    return static_cast<std::int64_t>(static_cast<__int128>(capacity) * share->milliValue() /
                                     100'000);
  }
  const auto amount = api::Quantity::parse(threshold);
  if (!amount.ok() || amount->isNegative()) return std::nullopt;
  return amount->value();
}

void lower(Signal& signal, std::int64_t available, std::int64_t capacity) {
  if (available < signal.available) signal = {available, capacity};
}

/// A line "KEY  NUMBER kB" of /proc/meminfo, in bytes.
std::int64_t memoryLine(const std::string& text, const std::string& key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name;
    std::int64_t amount = 0;
    if (fields >> name >> amount && name == key) return amount * 1024;
  }
  return 0;
}

}  // namespace

Thresholds defaultThresholds() {
  return {{"memory.available", "100Mi"}, {"nodefs.available", "10%"},  {"nodefs.inodesFree", "5%"},
          {"imagefs.available", "15%"},  {"imagefs.inodesFree", "5%"}, {"pid.available", "10%"}};
}

Result<Thresholds> parseThresholds(const std::string& text) {
  Thresholds thresholds = defaultThresholds();
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    const auto less = part.find('<');
    const std::string signal = part.substr(0, less);
    const std::string amount = less == std::string::npos ? "" : part.substr(less + 1);
    const auto known = thresholds.find(signal);
    if (known == thresholds.end() || !leastOf(amount, 0))
      return Status(Code::kInvalid, "\"" + part +
                                        "\" is not SIGNAL<AMOUNT, such as "
                                        "nodefs.available<10% or memory.available<100Mi");
    known->second = amount;
  }
  return thresholds;
}

NodePressure judgePressure(const Signals& signals, const Thresholds& thresholds) {
  const auto below = [&](const char* name) {
    const auto signal = signals.find(name);
    const auto threshold = thresholds.find(name);
    if (signal == signals.end() || threshold == thresholds.end()) return false;
    // A file system without a count of inodes has 0 of them.
    if (signal->second.capacity <= 0) return false;
    return signal->second.available <
           leastOf(threshold->second, signal->second.capacity).value_or(0);
  };
  NodePressure pressure;
  pressure.memory = below("memory.available");
  pressure.pids = below("pid.available");
  pressure.disk = below("nodefs.available") || below("nodefs.inodesFree") ||
                  below("imagefs.available") || below("imagefs.inodesFree");
  return pressure;
}

Signals readSignals(Filesystem& files, const std::string& folder, const NodeCgroups& node,
                    std::int64_t nodeMemory) {
  Signals signals;
  struct statvfs disk{};
  if (::statvfs(folder.c_str(), &disk) == 0) {
    const auto size = static_cast<std::int64_t>(disk.f_frsize);
    const Signal bytes{static_cast<std::int64_t>(disk.f_bavail) * size,
                       static_cast<std::int64_t>(disk.f_blocks) * size};
    const Signal inodes{static_cast<std::int64_t>(disk.f_favail),
                        static_cast<std::int64_t>(disk.f_files)};
    signals["nodefs.available"] = signals["imagefs.available"] = bytes;
    signals["nodefs.inodesFree"] = signals["imagefs.inodesFree"] = inodes;
  }
  const std::string memory = files.readFile("/proc/meminfo").valueOr("");
  Signal& left = signals["memory.available"];
  left = {memoryLine(memory, "MemAvailable:"), memoryLine(memory, "MemTotal:")};
  if (node.any() && nodeMemory > 0 && node.cgroups.of("memory") != nullptr)
    lower(left, nodeMemory - readUsage(node.cgroups, node.path).memory, nodeMemory);
  // proc_loadavg(5): "0.00 0.01 0.05 1/160 2345": the kernel's tasks are after the slash.
  const std::string load = files.readFile("/proc/loadavg").valueOr("");
  const auto most = std::min(readCgroupNumber("/proc/sys/kernel/pid_max").value_or(0),
                             readCgroupNumber("/proc/sys/kernel/threads-max").value_or(0));
  if (const auto slash = load.find('/'); slash != std::string::npos && most > 0) {
    const auto limit = static_cast<std::int64_t>(most);
    signals["pid.available"] = {limit - std::atoll(load.c_str() + slash + 1), limit};
  }
  return signals;
}

NodePressure PressureMemory::update(const NodePressure& seen, MonoTime now) {
  const auto holds = [now](bool present, std::optional<MonoTime>& last) {
    if (present) last = now;
    return last && now - *last < kTransitionPeriod;
  };
  return {holds(seen.memory, memory_), holds(seen.disk, disk_), holds(seen.pids, pids_)};
}

}  // namespace podlab::node
