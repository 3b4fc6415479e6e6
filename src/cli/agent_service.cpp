#include "cli/agent_service.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <sstream>

#include <asio.hpp>

#include "cli/agent_cleanup.hpp"
#include "cli/context.hpp"
#include "cli/doctor.hpp"
#include "cli/executable.hpp"
#include "cli/node_address.hpp"
#include "cli/node_membership.hpp"
#include "cli/process_setup.hpp"
#include "cli/session.hpp"
#include "common/filesystem.hpp"
#include "common/log.hpp"
#include "common/process.hpp"
#include "lab/isolate.hpp"
#include "lab/lab_state.hpp"

namespace podlab::cli {
namespace {

constexpr const char* kUnitFile = "/etc/systemd/system/podlab-agent.service";
constexpr std::string_view kMark = "# Written by podlab agent --background";
constexpr Duration kPatience = std::chrono::seconds(10);
constexpr Duration kJoinPatience = std::chrono::seconds(15);

bool runsSystemd(Filesystem& files) {
  return files.exists("/run/systemd/system");
}

/// Says that the agent was started here, where there is no systemd.
std::string markFile(const AgentProcessOptions& options) {
  return options.stateDir + "/background";
}
std::string logFile(const AgentProcessOptions& options) {
  return options.stateDir + "/agent.log";
}

std::optional<int> runningAgent(const AgentProcessOptions& options) {
  return lab::runningLab({options.stateDir});
}

/// `words` are systemctl's arguments, with spaces between.
Co<Status> systemctl(ProcessRunner& processes, std::string words) {
  ProcessSpec spec;
  spec.argv = splitList("systemctl " + words, ' ');
  auto output = co_await processes.run(std::move(spec));
  if (!output) co_return output.status();
  if (output->exitCode == 0) co_return Status();
  co_return Status(Code::kInternal, "systemctl " + words + ": " + lastLineOf(output->err));
}

/// Whether the process runs what is at `program` now, and with these words.
bool runs(Filesystem& files, int pid, const std::vector<std::string>& words) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const auto line = files.readFile(folder + "/cmdline");
  const auto program = files.readLink(folder + "/exe");
  return line && splitList(*line, '\0') == words && program && *program == words.front();
}

/// What the agent said last, for when it does not go on.
Co<std::string> lastWords(ProcessRunner& processes, Filesystem& files,
                          AgentProcessOptions options) {
  if (!runsSystemd(files)) co_return lastLineOf(files.readFile(logFile(options)).valueOr(""));
  ProcessSpec spec;
  spec.argv = {"journalctl", "--quiet", "--unit",   "podlab-agent",
               "--lines",    "1",       "--output", "cat"};
  auto output = co_await processes.run(std::move(spec));
  co_return output ? lastLineOf(output->out) : "";
}

/// What this machine lacks, with the remedy.
Status lacking(const std::vector<Check>& checks, bool vxlan) {
  for (const auto& check : checks) {
    // Of labs, whose nodes have PID namespaces.
    if (check.name == kTryProc || (check.name == kTryVxlan) != vxlan) continue;
    if (check.result == CheckResult::kMissing)
      return Status(Code::kHostUnsupported, check.name + ": " + check.detail);
  }
  return {};
}

Co<Status> endAgentProcess(Clock& clock, AgentProcessOptions options) {
  const MonoTime hard = clock.now() + kPatience;
  const MonoTime deadline = hard + kPatience;
  for (int sent = 0;;) {
    const auto pid = runningAgent(options);
    if (!pid) co_return Status();
    const int wanted = clock.now() >= hard ? SIGKILL : SIGTERM;
    if (sent != wanted) ::kill(*pid, wanted);
    sent = wanted;
    if (clock.now() >= deadline) {
      co_return Status(Code::kTimeout,
                       "the agent, process " + std::to_string(*pid) + ", does not end");
    }
    co_await clock.sleepFor(std::chrono::milliseconds(10));
  }
}

/// Starts the agent, one way or the other.
class Starter {
 public:
  Starter(asio::io_context& io, Clock& clock, const AgentProcessOptions& options,
          const std::vector<std::string>& flags)
      : clock_(clock),
        executor_(io.get_executor()),
        options_(options),
        flags_(flags),
        files_(makeRealFilesystem()),
        processes_(makeProcessRunner(executor_, clock)) {}

  Co<int> run() {
    auto done = co_await start();
    if (!done) co_return fail(done.status());
    std::printf("podlab-agent %s\n", done->c_str());
    co_return kDone;
  }

 private:
  Co<Result<std::string>> start() {
    auto program = executablePath();
    if (!program) co_return program.status();
    words_ = {*program, "agent"};
    words_.insert(words_.end(), flags_.begin(), flags_.end());
    const auto checks = judgeHost(co_await examineHost(*processes_, options_.stateDir));
    if (Status fit = lacking(checks, false); !fit) co_return fit;
    if (Status member = co_await becomeMember(checks); !member) co_return member;
    if (runsSystemd(*files_)) co_return co_await startService();
    co_return co_await startProcess();
  }

  Co<Status> becomeMember(std::vector<Check> checks) {
    auto member = co_await takeMembership(executor_, clock_, *files_, options_, kJoinPatience);
    if (!member) {
      if (!member.status().is(Code::kUnavailable) && !member.status().is(Code::kTimeout))
        co_return member.status();
      co_return Status(member.status().code(),
                       "this machine does not reach the server at " + options_.join + ": " +
                           member.status().message() +
                           "; open that TCP port to it, or give an address that it reaches by "
                           "--advertise");
    }
    if (member->settings.backend() == "vxlan") {
      if (Status fit = lacking(checks, true); !fit) co_return fit;
    }
    std::vector<net::Cidr> ranges;
    for (const auto& text : member->settings.podcidrs()) {
      auto range = net::Cidr::parse(text);
      if (!range) co_return range.status();
      ranges.push_back(*range);
    }
    co_return checkPodRanges(ranges);
  }

  Co<Result<std::string>> startService() {
    const std::string wanted = agentUnit(words_.front(), flags_);
    const auto present = files_->readFile(kUnitFile);
    if (present && !present->starts_with(kMark)) {
      co_return Status(Code::kConflict,
                       std::string(kUnitFile) +
                           " is not podlab's own: this machine's agent was set up by hand; remove "
                           "the unit, or leave the machine out");
    }
    const bool active = (co_await systemctl(*processes_, "is-active --quiet podlab-agent")).ok();
    const auto pid = runningAgent(options_);
    if (pid && !(active && present)) co_return foreign(*pid);
    if (present && *present == wanted && active && pid && runs(*files_, *pid, words_))
      co_return "running";
    Status status = files_->writeFileAtomic(kUnitFile, wanted, 0644);
    if (status.ok()) status = co_await systemctl(*processes_, "daemon-reload");
    if (status.ok()) status = co_await systemctl(*processes_, "enable podlab-agent");
    if (status.ok()) status = co_await systemctl(*processes_, "restart podlab-agent");
    if (!status.ok()) co_return status;
    if (Status up = co_await waitForAgent(); !up) co_return up;
    co_return active ? "restarted" : "started";
  }

  Co<Result<std::string>> startProcess() {
    const auto pid = runningAgent(options_);
    if (pid && !files_->exists(markFile(options_))) co_return foreign(*pid);
    if (pid && runs(*files_, *pid, words_)) co_return "running";
    if (pid) {
      if (Status ended = co_await endAgentProcess(clock_, options_); !ended) co_return ended;
    }
    if (Status marked = files_->writeFileAtomic(markFile(options_), "", 0644); !marked)
      co_return marked;
    lab::IsolatedSpec spec;
    spec.argv = words_;
    spec.newSession = true;
    spec.logFile = logFile(options_);
    auto started = lab::startIsolated(spec);
    if (!started) co_return started.status();
    child_ = *started;
    if (Status up = co_await waitForAgent(); !up) co_return up;
    co_return pid ? "restarted" : "started";
  }

  static Status foreign(int pid) {
    return Status(Code::kConflict,
                  "an agent that was not started by podlab agent --background "
                  "runs on this machine, as process " +
                      std::to_string(pid) + "; end it first");
  }

  /// Until it has taken its lock, which it does before anything else.
  Co<Status> waitForAgent() {
    const MonoTime deadline = clock_.now() + kPatience;
    while (!runningAgent(options_)) {
      const bool ended = child_ > 0 && ::waitpid(child_, nullptr, WNOHANG) == child_;
      if (ended || clock_.now() >= deadline) {
        co_return Status(Code::kInternal, "the agent ended; it said: " +
                                              co_await lastWords(*processes_, *files_, options_));
      }
      co_await clock_.sleepFor(std::chrono::milliseconds(10));
    }
    co_return Status();
  }

  Clock& clock_;
  asio::any_io_executor executor_;
  const AgentProcessOptions& options_;
  const std::vector<std::string>& flags_;
  std::unique_ptr<Filesystem> files_;
  std::unique_ptr<ProcessRunner> processes_;
  std::vector<std::string> words_;  ///< of the agent
  pid_t child_ = 0;
};

Co<int> endService(asio::io_context& io, Clock& clock, Status& status) {
  const auto processes = makeProcessRunner(io.get_executor(), clock);
  const auto files = makeRealFilesystem();
  status = co_await systemctl(*processes, "disable --now podlab-agent");
  if (status.ok()) status = files->removeFile(kUnitFile);
  if (status.ok()) status = co_await systemctl(*processes, "daemon-reload");
  co_return kDone;
}

Co<int> endProcess(Clock& clock, AgentProcessOptions options, Status& status) {
  status = co_await endAgentProcess(clock, options);
  if (status.ok()) status = makeRealFilesystem()->removeFile(markFile(options));
  co_return kDone;
}

Co<int> startAndTell(asio::io_context& io, Clock& clock, const AgentProcessOptions& options,
                     const std::vector<std::string>& flags) {
  Starter starter(io, clock, options, flags);
  co_return co_await starter.run();
}

/// A word of a command line in a unit (systemd.service(5), "COMMAND LINES").
std::string unitWord(std::string_view word) {
  std::string quoted = "\"";
  for (const char c : word) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '%' || c == '$') quoted += c;
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace

std::string agentUnit(const std::string& program, const std::vector<std::string>& flags) {
  std::string command = "ExecStart=" + program + " agent";
  for (const auto& flag : flags) command += " " + unitWord(flag);
  std::string unit = std::string(kMark) + "; podlab agent --stop removes it.\n";
  std::istringstream lines(kAgentUnit);
  for (std::string line; std::getline(lines, line);) {
    // The flags are in a file of the package's unit.
    if (line.starts_with("#") || line.starts_with("EnvironmentFile=") ||
        line.starts_with("ConditionPathExists="))
      continue;
    unit += (line.starts_with("ExecStart=") ? command : line) + "\n";
  }
  return unit;
}

int startInBackground(const AgentProcessOptions& options, const std::vector<std::string>& flags) {
  initLogging(logLevelOf("warn"), LogFormat::kText, "agent " + options.name);
  // One at a time; a repeat waits for what an earlier connection left running.
  auto lock = lab::lockLabs();
  if (!lock) return fail(lock.status());
  return runCoroutine(
      [&](asio::io_context& io, Clock& clock) { return startAndTell(io, clock, options, flags); });
}

Status endInBackground(const AgentProcessOptions& options) {
  auto lock = lab::lockLabs();
  if (!lock) return lock.status();
  const auto files = makeRealFilesystem();
  const auto unit = files->readFile(kUnitFile);
  const bool service = unit && unit->starts_with(kMark) && runsSystemd(*files);
  const bool process = files->exists(markFile(options));
  Status status;
  int code = kDone;
  if (service) {
    code = runCoroutine(
        [&](asio::io_context& io, Clock& clock) { return endService(io, clock, status); });
  }
  if (status.ok() && code == kDone && process) {
    code = runCoroutine(
        [&](asio::io_context&, Clock& clock) { return endProcess(clock, options, status); });
  }
  if (code != kDone) return Status(Code::kCanceled, "interrupted");
  return status;
}

}  // namespace podlab::cli
