#pragma once
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "common/status.hpp"

namespace podlab::lab {

/// A program started as the first process of new namespaces: when it dies, the kernel ends every
/// process in its PID namespace and takes away the mounts and links of the others.
struct IsolatedSpec {
  std::vector<std::string> argv;  ///< argv[0]: absolute path
  int namespaces = 0;             ///< CLONE_NEWPID | CLONE_NEWNET | ...
  /// With CLONE_NEWUSER: the caller becomes root in it. It has no other users, unless there are
  /// subordinate ids (subordinate_ids.hpp).
  bool mapRoot = false;
  bool newSession = false;  ///< a session of its own: the terminal's Ctrl-C does not reach it
  std::string logFile;      ///< stdout and stderr are appended to it; stdin is /dev/null
  std::vector<int>
      keepFds;  ///< open descriptors that it inherits under the same numbers; all others are closed
  bool dieWithParent = false;  ///< SIGKILL when the thread that started it ends
};

/// Starts it and returns its pid as seen from here. kHostUnsupported names what the kernel refuses,
/// and the remedy.
Result<pid_t> startIsolated(const IsolatedSpec& spec);

}  // namespace podlab::lab
