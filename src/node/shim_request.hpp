#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/container_cgroup.hpp"
#include "node/container_log_writer.hpp"
#include "node/overlay.hpp"

namespace podlab::node {

/// What the agent asks of the shim (shim.hpp).
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
