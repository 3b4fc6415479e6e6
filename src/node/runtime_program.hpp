#pragma once
#include <string>
#include <vector>

#include "common/co.hpp"
#include "common/filesystem.hpp"
#include "common/process.hpp"
#include "common/unique_fd.hpp"

namespace podlab::node {

/// The program of an OCI runtime: its command lines, and the runs of it that are waited for.
class RuntimeProgram {
 public:
  /// `name`: crun, or runc, or another with the same command line; its own state is in
  /// `stateFolder`, which exists. A run takes at most `timeout`.
  RuntimeProgram(ProcessRunner& processes, Filesystem& files, std::string name,
                 std::string stateFolder, Duration timeout);

  /// From now on it is started from a copy in memory, where that is possible.
  void seal();
  /// The copy, for SpawnSpec::program; -1: there is none.
  int sealed() const { return sealed_.get(); }

  /// Whether podlab puts the runtime into the container's cgroups. Others than crun cannot be kept
  /// from doing that themselves: they are told the path.
  bool entersCgroups() const;
  bool isCrun() const;

  /// The program with the options for all its commands, and the command.
  std::vector<std::string> command(const std::string& name) const;
  /// Removes what the runtime keeps of a container; absent is OK.
  Co<Status> removeState(std::string id);
  /// Name and version: "crun://1.8.1".
  Co<Result<std::string>> version();

 private:
  /// Runs it to its end, within the timeout.
  Co<Result<ProcessOutput>> run(std::vector<std::string> command);

  ProcessRunner& processes_;
  Filesystem& files_;
  const std::string name_;
  const std::string stateFolder_;
  const Duration timeout_;
  UniqueFd sealed_;
};

}  // namespace podlab::node
