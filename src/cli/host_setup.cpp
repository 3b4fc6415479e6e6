#include "cli/host_setup.hpp"

#include <fcntl.h>

#include <cerrno>
#include <sstream>

#include "cli/executable.hpp"
#include "common/unique_fd.hpp"

namespace podlab::cli {
namespace {

// Scripts are one line of sh each, without ! (csh).

/// Facts, one a line, after a word by which they are known among what a shell's start files print.
constexpr const char* kLook =
    "p=podlab-fact; echo $p kernel $(uname -s); echo $p machine $(uname -m); "
    "echo $p uid $(id -u); echo $p client ${SSH_CONNECTION%% *}; "
    "[ $(id -u) = 0 ] || s=$(sudo -n true 2>&1) || echo $p sudo ${s:-refused}; "
    "for f in /usr/local/bin/podlab /usr/bin/podlab; do "
    "[ -x $f ] && echo $p program $(sha256sum $f); done; true";

/// "$@", as root.
constexpr const char* kAsRoot =
    "[ $(id -u) = 0 ] || exec sudo -n -- \"$@\"; "
    "exec \"$@\"";

/// stdin becomes the program $1 if its checksum is $2: there is never half of it under its name.
constexpr const char* kInstall =
    "umask 022; mkdir -p \"${1%/*}\" && t=$(mktemp \"$1.XXXXXX\") || exit 1; "
    "trap \"rm -f $t\" EXIT; cat > $t || exit 1; s=$(sha256sum < $t); "
    "if [ ${s%% *} = $2 ]; then chmod 755 $t && mv -f $t \"$1\"; "
    "else echo it arrived damaged >&2; exit 1; fi";

/// The podlab that is there, with the arguments.
constexpr const char* kPodlab =
    "for f in /usr/local/bin/podlab /usr/bin/podlab; do if [ -x $f ]; then "
    "[ $(id -u) = 0 ] || exec sudo -n -- $f \"$@\"; exec $f \"$@\"; fi; done";

constexpr const char* kLastWords =
    "if [ -d /run/systemd/system ]; then journalctl -q -u podlab-agent -n 1 -o cat; "
    "else tail -n 1 ${PODLAB_STATE_DIR:-/var/lib/podlab}/.node/agent.log; fi";

constexpr std::string_view kFact = "podlab-fact ";
constexpr std::string_view kAnswer = "podlab-agent ";
constexpr Duration kEndPatience = std::chrono::minutes(5);
constexpr Duration kCopyPatience = std::chrono::minutes(15);

constexpr const char* kSudoRemedy =
    "let the user run commands as root without a password (NOPASSWD in sudoers), or give root@HOST";

struct Symptom {
  const char* said;
  const char* remedy;
};
constexpr Symptom kSymptoms[] = {
    {"No space left on device", "free some space there"},
    {"error while loading shared libraries",
     "this podlab is not built for that system: take a release build of podlab on the oldest of "
     "your systems, or install what is missing"},
    {"GLIBC",
     "this podlab is built for a newer system than that one: build it on the oldest of yours"},
    {"Exec format error", "this podlab is not built for that machine"},
    {"sudo:", kSudoRemedy},
};

RemoteRun asRoot(std::vector<std::string> words) {
  RemoteRun run;
  run.script = kAsRoot;
  run.words = std::move(words);
  return run;
}

Result<UniqueFd> openOwnProgram() {
  UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!file) return errnoStatus(errno, "cannot read /proc/self/exe");
  return file;
}

/// What podlab agent said that it did there, among what a shell's start files print.
std::string answerOf(const std::string& output) {
  std::istringstream lines(output);
  std::string answer;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(kAnswer)) answer = line.substr(kAnswer.size());
  }
  return answer;
}

}  // namespace

MachineFacts readMachineFacts(std::string_view output) {
  MachineFacts facts;
  std::istringstream lines{std::string(output)};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(kFact)) continue;
    std::istringstream words(line.substr(kFact.size()));
    std::string what, value;
    words >> what >> std::ws;
    std::getline(words, value);
    if (what == "kernel") facts.kernel = value;
    if (what == "machine") facts.machine = value;
    if (what == "uid") facts.root = value == "0";
    if (what == "client") facts.client = value;
    if (what == "sudo") facts.sudo = value;
    if (what == "program") {
      std::istringstream parts(value);
      InstalledProgram program;
      if (parts >> program.checksum >> program.path) facts.programs.push_back(program);
    }
  }
  return facts;
}

Status judgeMachine(const MachineFacts& facts, const std::string& ownMachine) {
  const auto refuse = [](const std::string& why) { return Status(Code::kHostUnsupported, why); };
  if (facts.kernel.empty()) return refuse("it has no POSIX shell; a node is a Linux machine");
  if (facts.kernel != "Linux")
    return refuse("it runs " + facts.kernel + "; a node is a Linux machine");
  if (facts.machine != ownMachine) {
    return refuse("its architecture is " + facts.machine + ", this podlab is built for " +
                  ownMachine +
                  "; all machines of a cluster that is brought up by ssh have the same");
  }
  if (!facts.root && !facts.sudo.empty()) {
    return refuse("an agent needs root, and sudo says: " + facts.sudo + "; " + kSudoRemedy);
  }
  return {};
}

Co<Result<MachineFacts>> lookAtMachine(const Ssh& ssh, ProcessRunner& processes,
                                       lab::NodeHost host) {
  RemoteRun run;
  run.script = kLook;
  auto output = co_await ssh.run(processes, std::move(host), std::move(run));
  if (!output) co_return output.status();
  co_return readMachineFacts(output->out);
}

Co<Result<std::string>> ownChecksum(ProcessRunner& processes) {
  const auto file = openOwnProgram();
  if (!file) co_return file.status();
  ProcessSpec spec;
  spec.argv = {"sha256sum"};
  spec.inputFile = file->get();
  auto output = co_await processes.run(std::move(spec));
  if (!output) co_return output.status();
  if (output->exitCode != 0) co_return Status(Code::kInternal, "sha256sum: " + output->err);
  co_return output->out.substr(0, output->out.find(' '));
}

std::string equalProgram(const MachineFacts& facts, const std::string& checksum) {
  for (const auto& program : facts.programs) {
    if (program.checksum == checksum) return program.path;
  }
  return "";
}

Co<Status> installProgram(const Ssh& ssh, ProcessRunner& processes, lab::NodeHost host,
                          std::string checksum) {
  const auto file = openOwnProgram();
  if (!file) co_return file.status();
  RemoteRun run = asRoot({"sh", "-c", kInstall, "podlab", kInstallPath, std::move(checksum)});
  run.inputFile = file->get();
  run.timeout = kCopyPatience;
  auto output = co_await ssh.run(processes, std::move(host), std::move(run));
  if (!output) co_return output.status();
  co_return output->exitCode == 0
      ? Status()
      : remoteFailure(*output).withContext(std::string("cannot install ") + kInstallPath);
}

Co<Result<std::string>> startAgent(const Ssh& ssh, ProcessRunner& processes, lab::NodeHost host,
                                   std::string program, std::vector<std::string> flags,
                                   std::string token) {
  std::vector<std::string> words = {std::move(program), "agent", "--background", "--token", "-"};
  words.insert(words.end(), flags.begin(), flags.end());
  RemoteRun run = asRoot(std::move(words));
  run.input = std::move(token) + "\n";
  auto output = co_await ssh.run(processes, std::move(host), std::move(run));
  if (!output) co_return output.status();
  if (output->exitCode != 0) co_return remoteFailure(*output);
  co_return answerOf(output->out);
}

Co<Result<bool>> endAgent(const Ssh& ssh, ProcessRunner& processes, lab::NodeHost host,
                          std::string node, std::string caHash, bool cleanup) {
  RemoteRun run;
  run.script = kPodlab;
  run.words = {"agent",       cleanup ? "--cleanup" : "--stop",
               "--node-name", std::move(node),
               "--member-of", std::move(caHash)};
  run.timeout = kEndPatience;
  auto output = co_await ssh.run(processes, std::move(host), std::move(run));
  if (!output) co_return output.status();
  if (output->exitCode != 0) co_return remoteFailure(*output);
  co_return answerOf(output->out) != "foreign";
}

Co<std::string> lastWordsOfAgent(const Ssh& ssh, ProcessRunner& processes, lab::NodeHost host) {
  RemoteRun run = asRoot({"sh", "-c", kLastWords});
  auto output = co_await ssh.run(processes, std::move(host), std::move(run));
  co_return output ? lastLineOf(output->out) : "";
}

Status remoteFailure(const ProcessOutput& output) {
  std::string last = lastLineOf(output.err);
  constexpr std::string_view kError = "error: ";
  if (last.starts_with(kError)) last.erase(0, kError.size());
  if (last.empty()) last = "the command there ended with " + std::to_string(output.exitCode);
  for (const auto& [symptom, remedy] : kSymptoms) {
    if (output.err.find(symptom) != std::string::npos)
      return Status(Code::kHostUnsupported, last + "; " + remedy);
  }
  return Status(Code::kInternal, std::move(last));
}

}  // namespace podlab::cli
