#pragma once
#include <functional>
#include <string>

#include "common/co.hpp"
#include "common/status.hpp"
#include "lab/lab_state.hpp"

namespace podlab::cli {

/// Documented exit codes of every command.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kCheckFailed = 3,
  kHostLacks = 4,
};

/// What all commands share.
struct Context {
  std::string lab = "default";  ///< --name, $PODLAB_NAME
  bool quiet = false;           ///< -q: nothing on stderr but errors
  std::string logLevel = "info";
  int exitCode = kDone;  ///< of the command that ran
};

/// " --name NAME" for commands that a message proposes; nothing for the default lab.
std::string nameFlag(const Context& context);
/// Where the lab is kept; kNotFound, with the remedy, when there is none.
Result<lab::LabPaths> existingLab(const Context& context);

/// "error: ..." on stderr, with the causes as a list; the exit code for it.
int fail(const Status& status);
/// What a server answered, in kubectl's words (cmd/util/helpers.go): "Error from server (REASON):
/// ...", or "The KIND "NAME" is invalid: ..." with the faulty fields. `doing` goes before the
/// message.
int failRequest(const Status& status, const std::string& doing = "");
/// "error: ..." with a hint at --help, and kUsage.
int failUsage(const std::string& message);
/// A line on stderr, unless quiet.
void say(const Context& context, const std::string& line);

/// One line on stderr that tells what is being waited for; redrawn in place on a terminal, a line a
/// change elsewhere.
class Progress {
 public:
  explicit Progress(const Context& context);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void show(const std::string& what);
  /// Replaces the line by a lasting one.
  void done(const std::string& what);

 private:
  bool quiet_;
  bool terminal_;
  std::string shown_;
};

/// Colours are for terminals, and not with NO_COLOR (no-color.org) or TERM=dumb.
bool useColor(int fd);
/// Columns of the terminal, 0 when `fd` is none.
int terminalWidth(int fd);

}  // namespace podlab::cli
