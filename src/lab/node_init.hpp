#pragma once
#include <signal.h>

#include <string>
#include <vector>

namespace podlab::lab {

inline constexpr int kKillAgent = SIGUSR1;

/// The first process of one node of a lab, in PID, network, mount, UTS and IPC namespaces of its
/// own: the node's "machine". It mounts /proc, runs the agent, starts it again when it dies (1 s,
/// doubling to 30 s, back to 1 s after a minute), and reaps what the agent leaves behind, so that
/// pods outlive the agent. SIGTERM shuts the node down as init does: the agent first, then SIGTERM
/// to all that is left, and the end after two seconds at most. Its death ends every process of the
/// node. kKillAgent kills the agent, as a fault.
struct NodeInitOptions {
  std::string hostname;
  std::string runDir;         ///< gets a tmpfs: pins and sockets that must go with the node
  std::string containersDir;  ///< with the roots of containers: mounts in it propagate nowhere
  int startFd = -1;  ///< a byte here says that the node's link is ready; the end without one, that
                     ///< it will not be
  std::vector<std::string> agent;
};

/// The process's exit code.
int runNodeInit(const NodeInitOptions& options);

}  // namespace podlab::lab
