#pragma once
#include <string>
#include <vector>

#include "common/unique_fd.hpp"
#include "lab/cluster_config.hpp"
#include "lab/lab_state.hpp"

namespace podlab::lab {

/// The first process of a single-host cluster: PID 1 of the lab's own user (unless root), mount,
/// PID and network namespaces. It makes the underlay, starts and supervises one server and the
/// nodes, and answers `podlab node` and `podlab down`. When it dies, even by SIGKILL, the kernel
/// takes everything away.
struct LabOptions {
  LabPaths paths;
  UniqueFd apiSocket;      ///< listening, from the host's network namespace
  UniqueFd adminSocket;    ///< listening at LabPaths::adminSocket()
  std::string imageStore;  ///< folder of this user's images
  std::string executable;  ///< absolute path of podlab
  std::string logLevel;
};

/// The process's exit code. Reads the cluster file in the state folder, which must be valid.
int runLab(LabOptions options);

}  // namespace podlab::lab
