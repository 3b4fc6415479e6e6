#include "common/spawn.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
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

#if defined(__has_feature) && __has_feature(thread_sanitizer)
extern "C" int __clone(int (*function)(void*), void* stack, int flags, void* argument, ...);
#endif

int cloneProcess(int (*function)(void*), void* stack, int flags, void* argument) {
#if defined(__has_feature) && __has_feature(thread_sanitizer)
  // ThreadSanitizer takes each clone() for a fork(), whose child has its own copy of what it keeps
  // of threads; by its other name it lets this one be.
  return __clone(function, stack, flags, argument);
#else
  return ::clone(function, stack, flags, argument);
#endif
}

/// What the child needs, made before it is.
struct Start {
  const char* path = nullptr;
  char* const* argv = nullptr;
  char* const* env = nullptr;
  std::vector<std::pair<int, int>> copies;
  std::vector<int> cgroups;
  int lastFd = 0;
  bool newSession = false;
  int error = 0;  ///< set by the child when it could not run the program
};

/// For system calls, and execvpe(3)'s look-up.
constexpr std::size_t kChildStack = 64UL * 1024;

/// The child up to the program: shares our memory while we wait (vfork(2)), so only system calls,
/// and these past libc: ThreadSanitizer keeps books of handlers and descriptors in that memory, and
/// the child's are not the parent's.
int runChild(void* argument) {
  auto& start = *static_cast<Start*>(argument);
  const auto done = [&start](long result) {
    if (result < 0) start.error = errno;
    return result >= 0;
  };
  // All zero: SIG_DFL, no flags, nothing blocked (rt_sigaction(2)); and the empty set of signals.
  static constexpr std::array<std::uint64_t, 8> kDefault{};
  static constexpr std::size_t kSignalSet = sizeof(std::uint64_t);  // the kernel's sigset_t
  const auto run = [&] {
    for (const int cgroup : start.cgroups) {
      if (!done(::syscall(SYS_write, cgroup, "0", 1))) return;
    }
    if (start.newSession && !done(::syscall(SYS_setsid))) return;
    // Ignored and blocked signals pass through exec.
    for (int signal = 1; signal < _NSIG; ++signal)
      ::syscall(SYS_rt_sigaction, signal, kDefault.data(), nullptr, kSignalSet);
    const long null = ::syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
    if (!done(null)) return;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
      if (fd != null && !done(::syscall(SYS_dup3, null, fd, 0))) return;
    }
    for (const auto& [from, to] : start.copies) {
      if (!done(::syscall(SYS_dup3, from, to, 0))) return;
    }
    ::syscall(SYS_close_range, start.lastFd + 1, ~0U, 0);
    ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, kDefault.data(), nullptr, kSignalSet);
    done(::execvpe(start.path, start.argv, start.env));
  };
  run();
  return 127;
}

}  // namespace

Result<Child> spawn(const SpawnSpec& spec) {
  if (spec.argv.empty() || spec.argv[0].empty())
    return Status(Code::kBadRequest, "argv: a program is required");
  const std::string what = "cannot run " + spec.argv[0];

  // Copies out of the way, so that no target overwrites a source that is still needed.
  int last = STDERR_FILENO;
  for (const auto& [ours, theirs] : spec.descriptors) last = std::max(last, theirs);
  std::vector<UniqueFd> files;
  Start start;
  start.lastFd = last;
  for (const auto& [ours, theirs] : spec.descriptors) {
    files.emplace_back(::fcntl(ours, F_DUPFD_CLOEXEC, last + 1));
    if (!files.back()) return errnoStatus(errno, what);
    start.copies.emplace_back(files.back().get(), theirs);
  }
  for (const auto& cgroup : spec.cgroups) {
    files.emplace_back(::open(cgroup.c_str(), O_WRONLY | O_CLOEXEC));
    if (!files.back()) return errnoStatus(errno, what + ": " + cgroup);
    // Out of the way of the targets, too.
    if (files.back().get() <= last)
      files.back().reset(::fcntl(files.back().get(), F_DUPFD_CLOEXEC, last + 1));
    start.cgroups.push_back(files.back().get());
  }
  // This process's descriptor: the child has closed its own by then.
  const std::string path = spec.program < 0 ? spec.argv[0]
                                            : "/proc/" + std::to_string(::getpid()) + "/fd/" +
                                                  std::to_string(spec.program);
  auto argv = pointers(spec.argv);
  auto env = spec.env ? pointers(*spec.env) : std::vector<char*>();
  start.path = path.c_str();
  start.argv = argv.data();
  start.env = spec.env ? env.data() : environ;
  start.newSession = spec.newSession;

  // No handler of ours may run in the child, which shares our memory.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  alignas(16) std::array<char, kChildStack> stack;
  Child child;
  child.pid =
      cloneProcess(runChild, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD, &start);
  const int error = child.pid < 0 ? errno : start.error;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child.pid > 0 && error != 0) reapChild(child.pid);
  if (error != 0) return errnoStatus(error, what);
  // The child is not reaped yet, so its pid is still its own.
  child.pidfd = openPidfd(child.pid);
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

UniqueFd openPidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

int reapChild(pid_t pid) {
  siginfo_t info{};
  while (::waitid(P_PID, pid, &info, WEXITED) < 0) {
    if (errno != EINTR) break;
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace podlab
