#include "cli/ssh.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <utility>

#include "cli/executable.hpp"
#include "common/filesystem.hpp"
#include "common/spawn.hpp"

namespace podlab::cli {
namespace {

/// How long a connection outlives a podlab that was killed.
constexpr const char* kPersist = "ControlPersist=20";

/// How a user would call ssh for this host.
std::string byHand(const lab::NodeHost& host, const std::string& program) {
  return program + (host.port == 0 ? "" : " -p " + std::to_string(host.port)) + " " +
         (host.user.empty() ? "" : host.user + "@") + host.name;
}

struct Symptom {
  const char* said;
  const char* remedy;  ///< {ssh} and {copy}: the command for this host
};

/// What OpenSSH says of a failure, the more special first.
constexpr Symptom kSymptoms[] = {
    {"REMOTE HOST IDENTIFICATION HAS CHANGED",
     "the machine has another host key than the one that you know: if it was installed anew, "
     "remove the old one by ssh-keygen -R, and accept the new one by: {ssh}"},
    {"Host key verification failed",
     "its host key is not known here; look at it, and accept it: {ssh}"},
    {"Permission denied",
     "let your key in: {copy}; a key with a passphrase must be in ssh-agent (ssh-add)"},
    {"Too many authentication failures",
     "name the right key by IdentityFile, with IdentitiesOnly yes, in ~/.ssh/config"},
    {"Could not resolve hostname", "there is no such name, nor such a Host in ~/.ssh/config"},
    {"Connection refused", "no sshd listens there: start it, or give its port, as HOST:PORT"},
    {"timed out", "the machine is down, or a firewall is between"},
    {"No route to host", "the machine is down, or in a network that this one does not reach"},
    {"Network is unreachable", "this machine has no route to it"},
    {"Bad configuration option", "ssh does not take its own configuration"},
};

/// ssh with these options, for this host.
std::vector<std::string> sshWords(const std::vector<std::string>& options,
                                  const lab::NodeHost& host) {
  std::vector<std::string> words = {"ssh"};
  if (const char* custom = std::getenv("PODLAB_SSH"); custom && *custom)
    words = {"/bin/sh", "-c", "exec " + std::string(custom) + " \"$@\"", "ssh"};
  words.insert(words.end(), options.begin(), options.end());
  if (host.port != 0) words.insert(words.end(), {"-p", std::to_string(host.port)});
  if (!host.user.empty()) words.insert(words.end(), {"-l", host.user});
  words.insert(words.end(), {"--", host.name});
  return words;
}

std::string replaced(std::string text, std::string_view what, const std::string& by) {
  if (const auto at = text.find(what); at != std::string::npos) text.replace(at, what.size(), by);
  return text;
}

}  // namespace

std::string shellWord(std::string_view word) {
  const bool plain = !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("%+,-./:=@_").find(static_cast<char>(c)) != std::string_view::npos;
  });
  // zsh takes a first = for a path, as in =ls, and fish a % for a process.
  if (plain && word.front() != '=' && word.front() != '%') return std::string(word);
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string remoteCommand(std::string_view script, const std::vector<std::string>& words) {
  std::string command = "sh -c " + shellWord(script) + " podlab";
  for (const auto& word : words) command += " " + shellWord(word);
  return command;
}

Status sshFailure(const lab::NodeHost& host, std::string_view said) {
  std::string last = lastLineOf(said);
  if (last.empty()) last = "ssh failed and said nothing";
  for (const auto& [symptom, remedy] : kSymptoms) {
    if (said.find(symptom) == std::string_view::npos) continue;
    std::string text = replaced(remedy, "{ssh}", byHand(host, "ssh"));
    text = replaced(std::move(text), "{copy}", byHand(host, "ssh-copy-id"));
    return Status(Code::kUnavailable, last + "; " + text);
  }
  return Status(Code::kUnavailable, last + "; try it by hand: " + byHand(host, "ssh"));
}

Result<Ssh> Ssh::open() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  // A socket's path has 107 bytes at most, of which ssh needs a few dozen.
  constexpr std::size_t kLongest = 40;
  const bool usable = runtime && *runtime == '/' && std::string_view(runtime).size() < kLongest &&
                      ::access(runtime, W_OK) == 0;
  std::string folder = std::string(usable ? runtime : "/tmp") + "/podlab-ssh-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return errnoStatus(errno, "cannot make " + folder);
  return Ssh(std::move(folder));
}

Ssh::Ssh(Ssh&& other) noexcept : folder_(std::exchange(other.folder_, "")) {}

Ssh::~Ssh() {
  if (folder_.empty()) return;
  const auto files = makeRealFilesystem();
  for (const auto& socket : files->listDirectory(folder_).valueOr({})) {
    SpawnSpec exit;
    exit.argv = {"ssh", "-o", "ControlPath=" + folder_ + "/" + socket, "-O", "exit", "podlab"};
    if (auto child = spawn(exit)) reapChild(child->pid);
  }
  (void)files->removeTree(folder_);
}

Co<bool> Ssh::sharesConnections(ProcessRunner& processes, lab::NodeHost host) const {
  ProcessSpec spec;
  spec.argv = sshWords({"-G"}, host);
  auto configuration = co_await processes.run(std::move(spec));
  co_return configuration && configuration->out.find("\ncontrolpath ") != std::string::npos &&
      configuration->out.find("\ncontrolpath none\n") == std::string::npos;
}

Co<Result<ProcessOutput>> Ssh::run(ProcessRunner& processes, lab::NodeHost host,
                                   RemoteRun command) const {
  std::vector<std::string> options = {"-T"};
  const auto add = [&options](const std::string& option) {
    options.insert(options.end(), {"-o", option});
  };
  for (const char* option :
       {"BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=4",
        "LogLevel=ERROR", "RemoteCommand=none", "ClearAllForwardings=yes"})
    add(option);
  if (!co_await sharesConnections(processes, host)) {
    add("ControlMaster=auto");
    add("ControlPath=" + folder_ + "/%C");
    add(kPersist);
  }
  ProcessSpec spec;
  spec.argv = sshWords(options, host);
  spec.argv.push_back(remoteCommand(command.script, command.words));
  spec.input = std::move(command.input);
  spec.inputFile = command.inputFile;
  spec.timeout = command.timeout;
  auto output = co_await processes.run(std::move(spec));
  if (!output) co_return output;
  if (output->timedOut) {
    co_return Status(Code::kTimeout, "it did not end within " + formatDuration(command.timeout) +
                                         "; see what the machine does: " + byHand(host, "ssh"));
  }
  constexpr int kSshFailed = 255;
  if (output->exitCode == kSshFailed) co_return sshFailure(host, output->err);
  co_return output;
}

}  // namespace podlab::cli
