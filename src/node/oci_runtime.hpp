#pragma once
#include <memory>
#include <string>

#include <asio/any_io_executor.hpp>

#include "common/blocking.hpp"
#include "common/clock.hpp"
#include "common/filesystem.hpp"
#include "common/process.hpp"
#include "node/container_cgroup.hpp"
#include "node/container_log_writer.hpp"
#include "node/container_runtime.hpp"

namespace podlab::node {

struct OciRuntimeOptions {
  std::string stateFolder;  ///< absolute; containers/, pidns/ and the runtime's own state in it
  /// Absolute, on disk: what containers of layers write, a folder each; empty: beside the others.
  std::string diskFolder;
  std::string runtime = "crun";  ///< or runc, or another with the same command line
  NodeCgroups cgroups;
  std::string seccompFolder;                    ///< of Localhost profiles
  CgroupLimits nodeLimits;                      ///< the ceiling of all containers together
  Duration timeout = std::chrono::seconds(60);  ///< of one run of the runtime, but for exec
  LogLimits logLimits;                          ///< of each container
  std::string shimProgram = "/proc/self/exe";   ///< `SHIMPROGRAM shim ...` runs shimMain()
};

/// Containers by an OCI runtime, one `run --detach` each. A shim (shim.hpp) waits for each and
/// keeps its log, so containers outlive the agent; when a shim is killed, its container is, and
/// counts as killed (137). State is documented in shim_state.hpp.
class OciRuntime : public ContainerRuntime {
 public:
  /// Starts the shim and finds the containers of an earlier agent; before anything else, once. From
  /// then on the process ignores SIGPIPE: a program that exec runs may close its stdin.
  virtual Co<Status> open() = 0;
};

/// Ends with the agent's loop: what runs on `executor` may outlive the object for a moment, but not
/// `clock`, `files`, `processes` and `pool`, in which programs enter their cgroups.
std::unique_ptr<OciRuntime> makeOciRuntime(asio::any_io_executor executor, Clock& clock,
                                           Filesystem& files, ProcessRunner& processes,
                                           BlockingPool& pool, OciRuntimeOptions options);

}  // namespace podlab::node
