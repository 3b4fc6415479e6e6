#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/co.hpp"
#include "common/process.hpp"
#include "common/status.hpp"
#include "common/time.hpp"
#include "node/dataplane.hpp"
#include "node/image_store.hpp"
#include "node/resource_limits.hpp"
#include "node/security.hpp"

namespace podlab::node {

struct Mount {
  std::string source;       ///< host path
  std::string destination;  ///< in the container
  bool readOnly = false;
  bool recursiveReadOnly = false;  ///< read-only with all that is mounted below
  enum class Propagation {
    kNone,
    kHostToContainer,  ///< what the node mounts below `source` later shows in the container
    kBidirectional     ///< and the other way round
  };
  Propagation propagation = Propagation::kNone;
};

/// One container to run. `id` (container_id.hpp) is unique for the life of the node.
struct ContainerSpec {
  std::string id;
  std::string podUid;
  std::string name;
  Image image;
  std::vector<std::string> argv;
  std::vector<std::string> env;  ///< "K=V"
  std::string workingDir;
  SandboxNamespaces namespaces;
  std::string pidNamespace;  ///< path of the pod's shared PID namespace; empty: one of its own
  bool hostPid = false;      ///< in the node's PID namespace instead
  std::vector<Mount> mounts;
  std::string logPath;  ///< CRI format: "TIME stdout|stderr F|P text"
  bool tty = false;
  bool stdin = false;
  CgroupLimits limits;
  CgroupLimits podLimits;
  std::optional<int> oomScoreAdjustment;
  ContainerSecurity security;
  int stopSignal = 15;  ///< kept with the container; whoever stops it sends this
};

enum class ContainerState { kCreated, kRunning, kExited };

struct ContainerStatus {
  std::string id;
  std::string podUid;
  std::string name;
  ContainerState state = ContainerState::kCreated;
  std::optional<WallTime> startedAt;
  std::optional<WallTime> finishedAt;
  std::optional<int> exitCode;  ///< 128 + signal when killed
  std::optional<int> signal;
  bool oomKilled =
      false;  ///< its process was killed, or passes on that a child was, for lack of memory
  int stopSignal = 15;  ///< as its ContainerSpec said
  int pid = 0;          ///< init process, in the agent's PID namespace; 0 when not running
};

/// Output and exit of an exec; bytes of stdin go in by `ExecSession`.
class ExecSession {
 public:
  virtual ~ExecSession() = default;  ///< kills the program when it still runs
  struct Output {
    bool isStderr = false;
    std::string data;  ///< empty together with `exitCode`
    std::optional<int> exitCode;
  };
  /// The next output; the last one carries the exit code.
  virtual Co<Result<Output>> read() = 0;
  virtual Co<Status> writeStdin(std::string data) = 0;
  virtual void closeStdin() = 0;
  virtual Status resize(int rows, int columns) = 0;
};

struct ExecSpec {
  std::vector<std::string> argv;
  bool stdin = false;
  bool tty = false;
};

/// A running container's stdin or terminal; several may be open at a time.
class ContainerInput {
 public:
  virtual ~ContainerInput() = default;
  /// Waits while the container takes nothing.
  virtual Co<Status> write(std::string data) = 0;
  virtual Status resize(int rows, int columns) = 0;
  /// Ends the container's stdin for good, once those who have it open are gone.
  virtual void end() = 0;
};

/// Runs containers: an OCI runtime or a simulated one. Containers, their logs and exit codes
/// outlive the agent.
class ContainerRuntime {
 public:
  virtual ~ContainerRuntime() = default;
  /// Starts the container; OK once its program runs. A program that cannot be executed is kNotFound
  /// or kForbidden with the runtime's reason.
  virtual Co<Status> start(ContainerSpec spec) = 0;
  /// Sends a signal to the container's init; kNotFound when it does not run.
  virtual Co<Status> kill(std::string id, int signal) = 0;
  /// Removes what is left of an exited container (not its log); absent is OK; a running one is
  /// killed first.
  virtual Co<Status> remove(std::string id) = 0;
  /// All containers known on this node, found again after a restart of the agent.
  virtual Co<Result<std::vector<ContainerStatus>>> list() = 0;
  virtual Co<Result<ContainerStatus>> status(std::string id) = 0;
  /// Calls `listener` whenever a container's state may have changed (with its id). One listener.
  virtual void onChange(std::function<void(std::string id)> listener) = 0;
  virtual Co<Result<std::unique_ptr<ExecSession>>> exec(std::string id, ExecSpec spec) = 0;
  /// The input of a container with `stdin` or `tty`; kNotFound when it does not run, or its stdin
  /// has ended.
  virtual Result<std::unique_ptr<ContainerInput>> openInput(const std::string& id) = 0;
  /// The path of a pod's shared PID namespace (shareProcessNamespace), held by a process of ours
  /// that reaps orphans; made when there is none.
  virtual Co<Result<std::string>> createPidNamespace(std::string podUid) = 0;
  virtual Co<Status> removePidNamespace(std::string podUid) = 0;
  /// Name and version, for the Node's status: "crun://1.8.1".
  virtual Co<Result<std::string>> version() = 0;
};

}  // namespace podlab::node
