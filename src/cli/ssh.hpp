#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "common/co.hpp"
#include "common/process.hpp"
#include "common/status.hpp"
#include "lab/node_host.hpp"

namespace podlab::cli {

/// One word for a shell, whatever is in it: for sh, bash, zsh and fish alike, and for csh unless
/// there is a ! or a line's end in it.
std::string shellWord(std::string_view word);

/// What ssh hands to the user's shell there: `script`, one line of sh, with `words` as its "$@".
/// All that reaches a shell of another machine is made here.
std::string remoteCommand(std::string_view script, const std::vector<std::string>& words);

/// Why ssh, which ended with 255, could not: what it said, and the remedy.
Status sshFailure(const lab::NodeHost& host, std::string_view said);

/// A command for another machine.
struct RemoteRun {
  std::string script;
  std::vector<std::string> words = {};
  std::string input = {};  ///< for its stdin
  int inputFile = -1;      ///< a descriptor: its stdin, in place of `input`
  Duration timeout = std::chrono::seconds(60);
};

/// The system's ssh, with the user's own configuration, keys and known hosts, and $PODLAB_SSH in
/// place of "ssh" (a command and flags, as $GIT_SSH_COMMAND). It never asks: what it would ask for
/// is an error with the remedy. Connections are kept for the life of this object, but where the
/// user's configuration has them shared already (ControlPath).
class Ssh {
 public:
  /// Makes a private folder for the connections' sockets.
  static Result<Ssh> open();
  ~Ssh();
  Ssh(Ssh&& other) noexcept;
  Ssh& operator=(Ssh&&) = delete;

  /// Runs it there, and returns what it printed and its exit code, whatever that is. A Status when
  /// ssh itself failed, or the time is over.
  Co<Result<ProcessOutput>> run(ProcessRunner& processes, lab::NodeHost host,
                                RemoteRun command) const;

 private:
  Co<bool> sharesConnections(ProcessRunner& processes, lab::NodeHost host) const;
  explicit Ssh(std::string folder) : folder_(std::move(folder)) {}

  std::string folder_;
};

}  // namespace podlab::cli
