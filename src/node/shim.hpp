#pragma once
#include <signal.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/container_cgroup.hpp"
#include "node/container_log_writer.hpp"
#include "node/overlay.hpp"

namespace podlab::node {

/// `podlab shim LOCK [--sealed-runtime]`: what waits for containers and keeps their logs, so that
/// the agent may die.
///
/// The agent starts one shim, with a SOCK_SEQPACKET socket as descriptor 3 and, with
/// --sealed-runtime, the OCI runtime to run (sealed_program.hpp) as 4. It takes the lock file,
/// sends one byte, and from then on forks one process for each request, without exec: small, cheap,
/// and killing it affects its own container only. It ends with the agent; the forked processes
/// stay, and are reaped by the init of their PID namespace. Each holds the lock until its container
/// runs or has failed to, so whoever has the lock finds no container in between.
///
/// A request is a ShimRequest with one descriptor, the write end of a pipe for the reply:
/// "ok TEXT" or "error TEXT"; nothing when the forked process died.
///
/// Uses no library that starts threads or registers at start-up: a fork must stay cheap.
int shimMain(int argc, char** argv);

/// The shim's descriptors.
inline constexpr int kShimSocket = 3;
inline constexpr int kShimRuntime = 4;  ///< with --sealed-runtime
/// A container's process: the write end of stdin, or the terminal, for an agent to take.
inline constexpr int kShimInput = 32;
/// The signal that makes a container's process close kShimInput.
inline constexpr int kShimEndInput = SIGUSR1;

struct ShimRequest {
  enum class Kind {
    kContainer,     ///< replies with the RunningRecord
    kPidNamespace,  ///< replies with the ProcessIdentity of the namespace's init, which it has
                    ///< recorded in the file `folder`
  };
  Kind kind = Kind::kContainer;
  std::string folder;   ///< a container's state folder, and the working directory
  std::string logPath;  ///< a container's log
  LogLimits logLimits;
  bool tty = false;
  bool stdin = false;       ///< stdin stays open; otherwise it is /dev/null
  bool sharedPids = false;  ///< in a PID namespace with others: what it leaves behind is killed
  int startTimeoutMs = 0;   ///< for the command, which is killed then
  CgroupPlan cgroup;
  OverlayRootfs rootfs;              ///< mounted at kRootfsFolder, when it has layers
  std::vector<std::string> command;  ///< starts the container, detached, and writes `pid`
};
/// The largest message; the kernel's default socket buffer is larger.
inline constexpr std::size_t kMaxShimRequest = 64UL * 1024;
/// With a tty, where the OCI runtime sends the terminal, in the container's folder.
inline constexpr const char* kConsoleSocket = "console.sock";
/// In the container's folder, where its root file system is.
inline constexpr const char* kRootfsFolder = "rootfs";

std::string encodeShimRequest(const ShimRequest& request);
std::optional<ShimRequest> decodeShimRequest(std::string_view message);

}  // namespace podlab::node
