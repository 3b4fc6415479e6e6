#include "image/tool.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "common/pipe.hpp"
#include "common/spawn.hpp"
#include "common/unique_fd.hpp"

namespace podlab::image {
namespace {

constexpr int kLockDescriptor = 3;

/// SIGINT and SIGTERM as a descriptor, for as long as this lives.
class Interruptions {
 public:
  Interruptions() {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGINT);
    ::sigaddset(&signals, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &signals, &before_);
    fd_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  ~Interruptions() {
    // What came is dealt with: it is not delivered once more.
    signalfd_siginfo info;
    while (::read(fd_.get(), &info, sizeof info) > 0) {
    }
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Interruptions(const Interruptions&) = delete;
  Interruptions& operator=(const Interruptions&) = delete;
  int fd() const { return fd_.get(); }

 private:
  sigset_t before_{};
  UniqueFd fd_;
};

/// The reason in a tool's last line; in logrus's form, its msg="...".
std::string reasonOf(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  text.erase(0, text.rfind('\n') + 1);
  const std::string_view mark = "msg=\"";
  const auto begin = text.find(mark);
  if (begin == std::string::npos || !text.ends_with('"')) return text;
  std::string reason;
  for (std::size_t i = begin + mark.size(); i + 1 < text.size(); ++i) {
    if (text[i] == '\\' && i + 2 < text.size()) ++i;
    reason += text[i];
  }
  return reason;
}

std::string packageOf(const std::string& program) {
  if (program == "ldd") return "libc-bin";
  if (program.starts_with("dpkg")) return "dpkg";
  if (program.starts_with("apt")) return "apt";
  return program;
}

}  // namespace

Result<std::string> runTool(const ToolRun& run) {
  const std::string& program = run.argv[0];
  if (!findProgram(program))
    return Status(Code::kHostUnsupported,
                  program + " is not installed; remedy: apt-get install " + packageOf(program));
  auto out = makePipe();
  auto err = makePipe();
  if (!out || !err) return out ? err.status() : out.status();
  const Interruptions interruptions;
  SpawnSpec spec;
  spec.argv = run.argv;
  spec.descriptors = {{run.progress ? STDERR_FILENO : out->write.get(), STDOUT_FILENO},
                      {err->write.get(), STDERR_FILENO}};
  if (run.lock >= 0) spec.descriptors.emplace_back(run.lock, kLockDescriptor);
  auto child = spawn(spec);
  if (!child) return child.status();
  out->write.reset();
  err->write.reset();

  std::string output;
  std::string errors;
  bool interrupted = false;
  std::array<pollfd, 3> fds{{{out->read.get(), POLLIN, 0},
                             {err->read.get(), POLLIN, 0},
                             {interruptions.fd(), POLLIN, 0}}};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) break;
    if (!interrupted && (fds[2].revents & POLLIN) != 0) {
      interrupted = true;
      fds[2].fd = -1;
      ::kill(child->pid, SIGKILL);
    }
    for (int i : {0, 1}) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      std::array<char, 65536> buffer;
      const ssize_t n = ::read(fds[i].fd, buffer.data(), buffer.size());
      if (n > 0) {
        (i == 0 ? output : errors).append(buffer.data(), static_cast<std::size_t>(n));
      } else if (n == 0 || errno != EINTR) {
        fds[i].fd = -1;
      }
    }
  }
  const int code = reapChild(child->pid);
  if (interrupted) return Status(Code::kCanceled, "interrupted");
  if (code == 0) return output;
  std::string reason = reasonOf(errors);
  if (reason.empty()) reason = "it ended with " + std::to_string(code);
  return Status(Code::kInternal, program + ": " + reason);
}

}  // namespace podlab::image
