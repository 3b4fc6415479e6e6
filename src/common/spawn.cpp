#include "common/spawn.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace podlab {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (const auto& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

}  // namespace

Result<Child> spawn(const SpawnSpec& spec) {
  if (spec.argv.empty() || spec.argv[0].empty())
    return Status(Code::kBadRequest, "argv: a program is required");
  const std::string what = "cannot run " + spec.argv[0];

  // Copies out of the way, so that no target overwrites a source that is still needed.
  int last = STDERR_FILENO;
  for (const auto& [ours, theirs] : spec.descriptors) last = std::max(last, theirs);
  std::vector<UniqueFd> copies;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    ::posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  }
  for (const auto& [ours, theirs] : spec.descriptors) {
    copies.emplace_back(::fcntl(ours, F_DUPFD_CLOEXEC, last + 1));
    if (!copies.back()) {
      Status failed = errnoStatus(errno, what);
      ::posix_spawn_file_actions_destroy(&actions);
      return failed;
    }
    ::posix_spawn_file_actions_adddup2(&actions, copies.back().get(), theirs);
  }
  ::posix_spawn_file_actions_addclosefrom_np(&actions, last + 1);
  // This process's descriptor: the child has closed its own by then.
  const std::string path = spec.program < 0 ? spec.argv[0]
                                            : "/proc/" + std::to_string(::getpid()) + "/fd/" +
                                                  std::to_string(spec.program);

  // Ignored and blocked signals pass through exec.
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t signals;
  ::sigemptyset(&signals);
  ::posix_spawnattr_setsigmask(&attributes, &signals);
  ::sigfillset(&signals);
  ::posix_spawnattr_setsigdefault(&attributes, &signals);
  const int flags =
      POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (spec.newSession ? POSIX_SPAWN_SETSID : 0);
  ::posix_spawnattr_setflags(&attributes, static_cast<short>(flags));

  const auto argv = pointers(spec.argv);
  const auto env = spec.env ? pointers(*spec.env) : std::vector<char*>();
  Child child;
  const int error = ::posix_spawnp(&child.pid, path.c_str(), &actions, &attributes, argv.data(),
                                   spec.env ? env.data() : environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) return errnoStatus(error, what);
  // The child is not reaped yet, so its pid is still its own.
  child.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0)));
  if (child.pidfd) return child;
  Status failed = errnoStatus(errno, what);
  ::kill(child.pid, SIGKILL);
  reapChild(child.pid);
  return failed;
}

std::optional<std::string> findProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/bin:/usr/bin";
  while (!rest.empty()) {
    const auto end = std::min(rest.find(':'), rest.size());
    std::string candidate = std::string(rest.substr(0, end)) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::nullopt;
}

int reapChild(pid_t pid) {
  siginfo_t info{};
  while (::waitid(P_PID, pid, &info, WEXITED) < 0) {
    if (errno != EINTR) break;
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace podlab
