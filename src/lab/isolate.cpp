#include "lab/isolate.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "common/unique_fd.hpp"
#include "lab/subordinate_ids.hpp"

namespace podlab::lab {
namespace {

/// What the child reports when it cannot exec: the step and errno.
struct Failure {
  int error;
  char step[60];
};

bool writeAll(const char* path, const std::string& text) {
  UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// Between fork and exec: only system calls, for the parent may have threads.
[[noreturn]] void runChild(const IsolatedSpec& spec, char* const* argv, int report,
                           const std::string& uidMap, const std::string& gidMap, int mapped,
                           pid_t parent) {
  const auto fail = [report](const char* step) {
    Failure failure{errno, {}};
    std::strncpy(failure.step, step, sizeof failure.step - 1);
    [[maybe_unused]] auto n = ::write(report, &failure, sizeof failure);
    ::_exit(127);
  };
  char go = 0;
  if (mapped >= 0 && ::read(mapped, &go, 1) != 1) ::_exit(127);  // the parent says why
  if (spec.mapRoot && mapped < 0) {
    // setgroups must be given up before an unprivileged process may map a group
    // (user_namespaces(7)).
    if (!writeAll("/proc/self/setgroups", "deny") && errno != ENOENT)
      fail("write /proc/self/setgroups");
    if (!writeAll("/proc/self/uid_map", uidMap)) fail("write /proc/self/uid_map");
    if (!writeAll("/proc/self/gid_map", gidMap)) fail("write /proc/self/gid_map");
  }
  if (spec.newSession && ::setsid() < 0) fail("setsid");
  if (spec.dieWithParent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // The parent may have died before the request; from a new PID namespace it is invisible (0).
    const pid_t now = ::getppid();
    if (now != 0 && now != parent) ::_exit(127);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const int null = ::open("/dev/null", O_RDONLY);
  if (null < 0 || ::dup2(null, STDIN_FILENO) < 0) fail("open /dev/null");
  if (!spec.logFile.empty()) {
    const int out = ::open(spec.logFile.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (out < 0) fail("open the log file");
    if (::dup2(out, STDOUT_FILENO) < 0 || ::dup2(out, STDERR_FILENO) < 0) fail("dup2");
  }
  unsigned next = 3;
  for (int fd : spec.keepFds) {
    ::fcntl(fd, F_SETFD, 0);
    if (static_cast<unsigned>(fd) > next) ::close_range(next, fd - 1, CLOSE_RANGE_CLOEXEC);
    next = fd + 1;
  }
  ::close_range(next, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execv(argv[0], argv);
  fail("execve");
  __builtin_unreachable();
}

Status cloneFailure(int error, int namespaces) {
  const bool user = namespaces & CLONE_NEWUSER;
  if (user && (error == EPERM || error == ENOSPC || error == EUSERS || error == EINVAL)) {
    return Status(Code::kHostUnsupported,
                  std::string("this kernel refuses user namespaces to ordinary users (") +
                      std::strerror(error) +
                      "); remedy: as root, sysctl -w user.max_user_namespaces=15000 "
                      "kernel.unprivileged_userns_clone=1 "
                      "kernel.apparmor_restrict_unprivileged_userns=0 (those "
                      "that exist), or run podlab as root");
  }
  if (error == EPERM)
    return Status(Code::kForbidden, "cannot make namespaces: Operation not permitted (EPERM)");
  return errnoStatus(error, "cannot make namespaces");
}

/// `ids`: those to map beside the user's own, or none.
Result<pid_t> start(const IsolatedSpec& spec, const std::optional<SubordinateIds>& ids,
                    bool& mappingFailed) {
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) < 0) return errnoStatus(errno, "pipe");
  UniqueFd read(pipe[0]), write(pipe[1]);
  std::vector<char*> argv;
  for (const auto& arg : spec.argv) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  const std::string uidMap = "0 " + std::to_string(::geteuid()) + " 1\n";
  const std::string gidMap = "0 " + std::to_string(::getegid()) + " 1\n";
  IsolatedSpec ordered = spec;
  std::sort(ordered.keepFds.begin(), ordered.keepFds.end());
  const pid_t parent = ::getpid();
  if (::pipe2(pipe, O_CLOEXEC) < 0) return errnoStatus(errno, "pipe");
  UniqueFd mapped(pipe[0]), go(pipe[1]);

  const long child =
      ::syscall(SYS_clone, spec.namespaces | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child < 0) return cloneFailure(errno, spec.namespaces);
  if (child == 0) {
    // The report pipe closes by exec: that is how success is seen.
    ::close(go.get());
    runChild(ordered, argv.data(), write.get(), uidMap, gidMap, ids ? mapped.get() : -1, parent);
  }
  write.reset();
  if (ids) {
    Status done = mapIds(static_cast<pid_t>(child), *ids);
    if (done && ::write(go.get(), "", 1) != 1) done = errnoStatus(errno, "pipe");
    go.reset();
    if (!done) {
      mappingFailed = true;
      ::waitpid(static_cast<pid_t>(child), nullptr, 0);
      return done;
    }
  }
  Failure failure{};
  ssize_t n;
  do {
    n = ::read(read.get(), &failure, sizeof failure);
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof failure)) {
    ::waitpid(static_cast<pid_t>(child), nullptr, 0);
    return errnoStatus(failure.error,
                       std::string("cannot start ") + spec.argv[0] + ": " + failure.step);
  }
  return static_cast<pid_t>(child);
}

}  // namespace

Result<pid_t> startIsolated(const IsolatedSpec& spec) {
  const auto ids = spec.mapRoot ? findSubordinateIds() : std::nullopt;
  bool mappingFailed = false;
  auto started = start(spec, ids, mappingFailed);
  // Tools that do not work, as without their setuid bit, are as good as none.
  if (mappingFailed) started = start(spec, std::nullopt, mappingFailed);
  return started;
}

}  // namespace podlab::lab
