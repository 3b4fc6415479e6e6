// Calls every system call with arguments that can do nothing, each in a process of its own, and
// prints a line for each: its number and what came of it ("ok", an errno, "signal N", "waits").
// Usage: podlab_syscall_probe FIRST LAST

#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr int kPatienceMs = 10'000;

struct Call {
  long number;
  long first;  ///< its first argument
  long rest;   ///< all others
};

/// Calls whose arguments a profile judges.
constexpr struct {
  const char* name;
  Call call;
} kByArgument[] = {
    {"personality(PER_LINUX)", {SYS_personality, 0, 0}},
    {"personality(PER_LINUX32)", {SYS_personality, 8, 0}},
    {"personality(UNAME26)", {SYS_personality, 0x20000, 0}},
    {"personality(query)", {SYS_personality, 0xffffffff, 0}},
    {"personality(READ_IMPLIES_EXEC)", {SYS_personality, 0x400000, 0}},
    {"clone(CLONE_NEWUSER)", {SYS_clone, CLONE_NEWUSER | SIGCHLD, 0}},
    {"clone(CLONE_NEWNS)", {SYS_clone, CLONE_NEWNS | SIGCHLD, 0}},
    {"clone(0)", {SYS_clone, SIGCHLD, 0}},
};

int outcomeOf(const Call& call) {
  errno = 0;
  return ::syscall(call.number, call.first, call.rest, call.rest, call.rest, call.rest,
                   call.rest) == -1
             ? errno
             : 0;
}

void report(const char* name, const Call& call) {
  int ends[2];
  if (::pipe(ends) < 0) std::abort();
  const pid_t child = ::fork();
  if (child == 0) {
    const int outcome = outcomeOf(call);
    (void)!::write(ends[1], &outcome, sizeof(outcome));
    ::_exit(0);
  }
  ::close(ends[1]);
  pollfd readable{.fd = ends[0], .events = POLLIN, .revents = 0};
  const bool ended = ::poll(&readable, 1, kPatienceMs) > 0;
  int outcome = 0;
  const bool said = ended && ::read(ends[0], &outcome, sizeof(outcome)) == sizeof(outcome);
  ::close(ends[0]);
  if (!ended) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (said && outcome == 0) {
    std::printf("%s ok\n", name);
  } else if (said) {
    std::printf("%s %d\n", name, outcome);
  } else if (!ended) {
    std::printf("%s waits\n", name);
  } else {
    std::printf("%s signal %d\n", name, WTERMSIG(status));
  }
}

/// exit, exit_group and pause have no outcome, and vfork's child would return on its parent's
/// stack.
bool isLeftOut(long number) {
#ifdef SYS_vfork
  if (number == SYS_vfork || number == SYS_pause) return true;
#endif
  return number == SYS_exit || number == SYS_exit_group;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  constexpr rlimit kNone{.rlim_cur = 0, .rlim_max = 0};
  ::setrlimit(RLIMIT_CORE, &kNone);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const long last = std::atol(argv[2]);
  for (long number = std::atol(argv[1]); number <= last; ++number) {
    char name[24];
    std::snprintf(name, sizeof(name), "%ld", number);
    if (!isLeftOut(number)) report(name, {number, -1, -1});
  }
  for (const auto& [name, call] : kByArgument) report(name, call);
  constexpr int kLastFamily = 46;
  for (int family = 0; family <= kLastFamily; ++family) {
    char name[24];
    std::snprintf(name, sizeof(name), "socket(%d)", family);
    report(name, {SYS_socket, family, 0});
  }
  return 0;
}
