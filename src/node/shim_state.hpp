#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "common/status.hpp"
#include "common/time.hpp"

namespace podlab::node {

/// A process, so that another one with a reused pid is not mistaken for it.
struct ProcessIdentity {
  int pid = 0;
  std::uint64_t startTicks = 0;  ///< /proc/PID/stat, field 22
  std::string boot;              ///< /proc/sys/kernel/random/boot_id
  bool operator==(const ProcessIdentity&) const = default;
};

/// The process that has `pid` now, a zombie included; nullopt also when it cannot be told.
std::optional<ProcessIdentity> identifyProcess(int pid);
/// A zombie does not live. Unknown: there was no descriptor to look with, for instance.
enum class Liveness { kAlive, kGone, kUnknown };
Liveness livenessOf(const ProcessIdentity& process);
/// Sends `signal` to the process itself, whatever happens to its pid meanwhile; kNotFound when it
/// does not run.
Status signalProcess(const ProcessIdentity& process, int signal);
/// "PID TICKS BOOT"; nullopt when malformed.
std::string formatIdentity(const ProcessIdentity& process);
std::optional<ProcessIdentity> parseIdentity(const std::string& text);

/// The files of a container's state folder STATE/containers/ID:
///   config.json  the OCI bundle's, written by the agent; its annotations name pod and container
///   pid          the init process, written by the OCI runtime
///   running      RunningRecord, written by the shim when the program runs
///   exit         ExitRecord, written by the shim as its last act, or by the agent when it finds
///                that the shim was killed (the container is killed then, with code 137)
/// A folder without `running` is of a container that never ran. Both records are one line, and
/// replaced atomically; they are not fsynced, because no container outlives a crash of the machine.
inline constexpr const char* kRunningFile = "running";
inline constexpr const char* kExitFile = "exit";
inline constexpr const char* kConfigFile = "config.json";
inline constexpr const char* kPidFile = "pid";

struct RunningRecord {
  ProcessIdentity shim;
  ProcessIdentity init;
  WallTime startedAt;
};
std::string formatRunning(const RunningRecord& record);
std::optional<RunningRecord> parseRunning(const std::string& text);

struct ExitRecord {
  int code = 0;    ///< 128 + signal when killed
  int signal = 0;  ///< 0: it exited by itself
  WallTime finishedAt;
  bool oomKilled = false;
};
std::string formatExit(const ExitRecord& record);
std::optional<ExitRecord> parseExit(const std::string& text);

}  // namespace podlab::node
