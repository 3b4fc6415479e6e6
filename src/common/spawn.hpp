#pragma once
#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab {

/// A program to start as a child process.
struct SpawnSpec {
  std::vector<std::string> argv;                ///< argv[0] is looked up in PATH
  int program = -1;                             ///< a descriptor: run this file instead of argv[0]
  std::optional<std::vector<std::string>> env;  ///< "K=V"; unset: this process's
  /// Descriptors of the child (second) and those of ours that they are copies of (first). It gets
  /// no others; 0, 1 and 2 are /dev/null unless given.
  std::vector<std::pair<int, int>> descriptors;
  bool newSession = false;
  /// cgroup.procs files, or tasks files of version 1: the child enters these cgroups before it runs
  /// the program, so that all that it does is theirs.
  std::vector<std::string> cgroups;
};

struct Child {
  pid_t pid = 0;
  UniqueFd pidfd;  ///< readable when the child has ended
};

/// Starts the program with no signal blocked or ignored. The caller reaps it. A program that cannot
/// be started is a Status naming it.
Result<Child> spawn(const SpawnSpec& spec);

/// Where spawn() finds a program: `name` itself when it has a slash, else the first in PATH that
/// may be executed (execvp(3)).
std::optional<std::string> findProgram(const std::string& name);

/// A descriptor of the process, readable when it has ended; empty, with errno, when there is none
/// (pidfd_open(2)). It stays with the process that it was opened for.
UniqueFd openPidfd(pid_t pid);

/// Waits for the child and reaps it: its exit code, or 128 + signal.
int reapChild(pid_t pid);

}  // namespace podlab
