#include "node/shim_container.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "common/cgroups.hpp"
#include "common/filesystem.hpp"
#include "common/pipe.hpp"
#include "common/spawn.hpp"
#include "common/time.hpp"
#include "node/console_socket.hpp"
#include "node/container_log_writer.hpp"
#include "node/overlay.hpp"
#include "node/shim.hpp"
#include "node/shim_request.hpp"
#include "node/shim_state.hpp"

namespace podlab::node {
namespace {

/// How long to wait for a killed process before looking again.
constexpr int kKillTimeoutMs = 1'000;

WallTime wallNow() {
  timespec ts{};
  ::clock_gettime(CLOCK_REALTIME, &ts);
  return WallTime(std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec));
}

/// Waits for a descendant to end; its status as of waitid(). The container's process becomes this
/// one's child, its subreaper's, only with the end of the runtime's last process, which for a short
/// program comes after its own: until then other children are waited for.
siginfo_t reap(int pid) {
  for (;;) {
    siginfo_t info{};
    int result = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED);
    if (result < 0 && errno == ECHILD) result = ::waitid(P_ALL, 0, &info, WEXITED);
    if (result == 0 && info.si_pid == pid) return info;
    if (result < 0 && errno == ECHILD) return {};
  }
}

/// One container, from its start to its end.
class Container {
 public:
  explicit Container(const ShimRequest& request) : request_(request) {}

  Result<RunningRecord> start(const UniqueFd& runtime) {
    if (::chdir(request_.folder.c_str()) < 0)
      return errnoStatus(errno, "cannot enter " + request_.folder);
    Status ready = log_.open(request_.logPath, request_.logLimits);
    if (ready) ready = openStreams();
    if (ready) ready = applyCgroupPlan(request_.cgroup);
    if (!ready) return ready;
    Status started = request_.rootfs.layers.empty() ? runCommand(runtime) : runOnLayers(runtime);
    if (!started) return started;
    offerInput();
    return recordStart();
  }

  /// Copies output to the log until the init process ends, then records how it ended.
  void superviseToEnd() {
    const UniqueFd children = openChildSignals();
    reapOthers(children.get());
    std::array<pollfd, 4> fds{{{exited_.get(), POLLIN, 0},
                               {outRead_.get(), POLLIN, 0},
                               {errRead_.get(), POLLIN, 0},
                               {children.get(), POLLIN, 0}}};
    while ((fds[0].revents & POLLIN) == 0) {
      if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) break;
      if (fds[3].revents != 0) reapOthers(children.get());
      for (int stream : {1, 2}) {
        if (fds[stream].revents == 0) continue;
        if (copyOnce(fds[stream].fd, stream == 2) == Copied::kEnd) fds[stream].fd = -1;
      }
    }
    const siginfo_t info = reap(init_);
    const WallTime finished = wallNow();
    if (request_.sharedPids) killRest();
    // All that was written before the end is in the pipes, or in the terminal.
    for (int stream : {1, 2}) {
      while (fds[stream].fd >= 0 && copyOnce(fds[stream].fd, stream == 2) == Copied::kData) {
      }
    }
    log_.finish(wallNow());
    const bool exitedItself = info.si_code == CLD_EXITED;
    const ExitRecord record{exitedItself ? info.si_status : 128 + info.si_status,
                            exitedItself ? 0 : info.si_status, finished, wasKilledForMemory(info)};
    (void)files_->writeFileAtomic(request_.folder + "/" + kExitFile, formatExit(record), 0600,
                                  false);
  }

 private:
  /// SIGCHLD as a descriptor.
  static UniqueFd openChildSignals() {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    return UniqueFd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  }

  /// Reaps the runtime's last process, which ends after the runtime: as a zombie it would count
  /// among the container's processes.
  void reapOthers(int childSignals) const {
    signalfd_siginfo ignored{};
    while (::read(childSignals, &ignored, sizeof ignored) > 0) {
    }
    siginfo_t info{};
    while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0 &&
           info.si_pid != init_) {
      ::waitid(P_PID, info.si_pid, nullptr, WEXITED | WNOHANG);
      info = {};
    }
  }

  Status openStreams() {
    Status status = openPipe(errRead_, errWrite_);
    ::fcntl(errRead_.get(), F_SETFL, O_NONBLOCK);
    if (request_.tty) {
      // The runtime's own messages come by the pipe, the program's by the terminal.
      auto listening = ConsoleSocket::listen(request_.folder, kConsoleSocket);
      if (!listening) return listening.status();
      console_.emplace(std::move(*listening));
      return status;
    }
    if (status) status = openPipe(outRead_, outWrite_);
    ::fcntl(outRead_.get(), F_SETFL, O_NONBLOCK);
    if (status && request_.stdin) status = openPipe(inRead_, inWrite_);
    return status;
  }

  static Status openPipe(UniqueFd& read, UniqueFd& write) {
    auto pipe = makePipe();
    if (!pipe) return pipe.status();
    read = std::move(pipe->read);
    write = std::move(pipe->write);
    return {};
  }

  /// The root file system is mounted where the runtime alone sees it, and whom it starts: whatever
  /// is killed, nothing stays mounted.
  Status runOnLayers(const UniqueFd& runtime) {
    auto image = holdImage(request_.rootfs.lockFile);
    if (!image) return image.status();
    image_ = std::move(*image);
    const auto mounts = PrivateMounts::enter();
    if (!mounts) return mounts.status();
    Status mounted = mountRootfs(*files_, request_.rootfs, request_.folder + "/" + kRootfsFolder);
    return mounted ? runCommand(runtime) : mounted;
  }

  Status runCommand(const UniqueFd& runtime) {
    SpawnSpec spec;
    spec.argv = request_.command;
    spec.program = runtime.get();
    if (inRead_) spec.descriptors.emplace_back(inRead_.get(), STDIN_FILENO);
    if (outWrite_) spec.descriptors.emplace_back(outWrite_.get(), STDOUT_FILENO);
    spec.descriptors.emplace_back(errWrite_.get(), STDERR_FILENO);
    spec.cgroups = request_.cgroup.processFiles;
    auto child = spawn(spec);
    outWrite_.reset();
    errWrite_.reset();
    inRead_.reset();
    if (!child) return child.status();
    pollfd exited{child->pidfd.get(), POLLIN, 0};
    const bool late = ::poll(&exited, 1, request_.startTimeoutMs) == 0;
    if (late) ::kill(child->pid, SIGKILL);
    const int code = reapChild(child->pid);
    if (late) {
      return Status(Code::kTimeout,
                    request_.command[0] + " did not start the container within " +
                        formatDuration(std::chrono::milliseconds(request_.startTimeoutMs)));
    }
    if (code == 0) return {};
    std::string message = runtimeMessage();
    if (oomKills() > 0) message += ": container init was OOM-killed (memory limit too low?)";
    return Status(Code::kInternal, message);
  }

  /// How many processes of the container the kernel has killed for lack of memory.
  std::uint64_t oomKills() const {
    const std::string& file = request_.cgroup.oomFile;
    return file.empty() ? 0 : readCgroupNumber(file, "oom_kill").value_or(0);
  }

  /// As containerd has it: whichever process was killed, the container failed for it.
  bool wasKilledForMemory(const siginfo_t& info) const {
    const bool succeeded = info.si_code == CLD_EXITED && info.si_status == 0;
    return !succeeded && oomKills() > 0;
  }

  /// Puts the input where agents take it from.
  void offerInput() {
    if (console_) {
      if (auto terminal = console_->receive()) outRead_ = std::move(*terminal);
      console_.reset();
    }
    const int input = request_.tty ? outRead_.get() : inWrite_.get();
    if (input >= 0 && ::dup3(input, kShimInput, O_CLOEXEC) >= 0) inWrite_.reset();
  }

  /// What a failed runtime wrote; when it had the terminal already, to that.
  std::string runtimeMessage() {
    std::string text = readMessage(errRead_.get());
    if (text.empty() && console_) {
      if (auto terminal = console_->receive()) text = readMessage(terminal->get());
    }
    return text.empty() ? request_.command[0] + " failed without a message" : text;
  }

  Result<RunningRecord> recordStart() {
    auto text = files_->readFile(request_.folder + "/" + kPidFile);
    if (!text) return text.status();
    init_ = std::atoi(text->c_str());
    // Also when it has ended already: it stays a zombie until this process, its subreaper, asks.
    const auto init = identifyProcess(init_);
    const auto self = identifyProcess(::getpid());
    exited_ = openPidfd(init_);
    if (request_.sharedPids) mountNamespace_ = openMountNamespace(init_);
    Status failed;
    if (!init || !self || !exited_) {
      failed = errnoStatus(errno, "cannot wait for the container's process " + *text);
    } else {
      const RunningRecord record{*self, *init, wallNow()};
      failed = files_->writeFileAtomic(request_.folder + "/" + kRunningFile, formatRunning(record),
                                       0600, false);
      if (failed) return record;
    }
    ::kill(init_, SIGKILL);
    reap(init_);
    return failed;
  }

  enum class Copied { kData, kNothing, kEnd };

  /// Copies what one read gives.
  Copied copyOnce(int fd, bool isStderr) {
    static std::array<char, 64UL * 1024> buffer;
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n > 0) {
      log_.write(isStderr, std::string_view(buffer.data(), n), wallNow());
      return Copied::kData;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? Copied::kNothing : Copied::kEnd;
  }

  static UniqueFd openMountNamespace(int pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/ns/mnt";
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }

  bool isInMountNamespace(int pid) const {
    struct stat held = {};
    struct stat found = {};
    const std::string path = "/proc/" + std::to_string(pid) + "/ns/mnt";
    return ::fstat(mountNamespace_.get(), &held) == 0 && ::stat(path.c_str(), &found) == 0 &&
           held.st_dev == found.st_dev && held.st_ino == found.st_ino;
  }

  /// Kills the processes that the container left in the shared PID namespace: those of its mount
  /// namespace.
  void killRest() {
    if (!mountNamespace_ || isInMountNamespace(::getpid())) return;
    for (bool found = true; found;) {
      found = false;
      auto names = files_->listDirectory("/proc");
      if (!names) return;
      for (const auto& name : *names) {
        const int pid = std::atoi(name.c_str());
        if (pid <= 0) continue;
        const UniqueFd process = openPidfd(pid);
        if (!process || !isInMountNamespace(pid)) continue;
        if (::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) < 0) continue;
        found = true;
        pollfd dead{process.get(), POLLIN, 0};
        ::poll(&dead, 1, kKillTimeoutMs);
      }
    }
  }

  const ShimRequest& request_;
  std::unique_ptr<Filesystem> files_ = makeRealFilesystem();
  ContainerLogWriter log_;
  UniqueFd image_;  ///< the lock that keeps it in the store
  int init_ = 0;
  UniqueFd exited_;  ///< readable when the init has ended
  /// Held, since the number of one that is gone is given to the next, another container's.
  UniqueFd mountNamespace_;
  UniqueFd inRead_, inWrite_, outRead_, outWrite_, errRead_, errWrite_;
  std::optional<ConsoleSocket> console_;
};

/// The init of a pod's shared PID namespace: adopts and reaps what the containers leave behind.
/// Ends at once unless `go` brings a byte: until its identity is recorded, nobody could end it.
[[noreturn]] void pause(UniqueFd go) {
  char byte = 0;
  if (::read(go.get(), &byte, 1) != 1) ::_exit(1);
  go.reset();
  ::prctl(PR_SET_NAME, "podlab-pause");
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGCHLD, SIG_DFL);
  for (int signal = 0;;) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    ::sigwait(&signals, &signal);
  }
}

/// Forks the init, records it in `file` and lets it go on.
Result<std::string> startPause(const std::string& file) {
  auto pipe = makePipe();
  if (!pipe) return pipe.status();
  UniqueFd wait = std::move(pipe->read), go = std::move(pipe->write);
  if (::unshare(CLONE_NEWPID) < 0) return errnoStatus(errno, "cannot make a PID namespace");
  const pid_t init = ::fork();
  if (init == 0) {
    // It keeps neither the shim's lock nor the reply's pipe, nor anything else.
    constexpr int kGo = STDERR_FILENO + 1;
    ::dup2(wait.release(), kGo);
    ::close_range(kGo + 1, ~0U, 0);
    (void)go.release();
    pause(UniqueFd(kGo));
  }
  const auto identity = init > 0 ? identifyProcess(init) : std::nullopt;
  if (!identity) return errnoStatus(errno, "cannot fork the init of a PID namespace");
  std::string text = formatIdentity(*identity);
  Status recorded = makeRealFilesystem()->writeFileAtomic(file, text, 0600, false);
  if (!recorded) return recorded;
  if (::write(go.get(), "", 1) != 1) return errnoStatus(errno, "cannot start the init");
  return text;
}

}  // namespace

void sendShimReply(const UniqueFd& reply, const Status& status, const std::string& text) {
  const std::string message = status.ok() ? "ok " + text : "error " + status.message();
  // At most PIPE_BUF is written in one piece; the agent reads until the end in any case. With the
  // agent gone there is nobody to tell.
  [[maybe_unused]] const ssize_t n = ::write(reply.get(), message.data(), message.size());
}

void serveShimRequest(std::string_view message, UniqueFd reply, UniqueFd lock, UniqueFd runtime) {
  ::setsid();
  ::signal(SIGCHLD, SIG_DFL);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a log that may not grow is as one on a full disk
  ::signal(kShimEndInput, [](int) { ::close(kShimInput); });
  const auto request = decodeShimRequest(message);
  if (!request) {
    sendShimReply(reply, Status(Code::kBadRequest, "malformed request to the shim"), "");
    ::_exit(1);
  }
  if (request->kind == ShimRequest::Kind::kPidNamespace) {
    const auto started = startPause(request->folder);
    sendShimReply(reply, started.status(), started ? *started : "");
    // The init is reaped by the init of the agent's PID namespace.
    ::_exit(0);
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  Container container(*request);
  const auto started = container.start(runtime);
  sendShimReply(reply, started.status(), started.ok() ? formatRunning(*started) : "");
  reply.reset();
  lock.reset();
  runtime.reset();
  if (started.ok()) container.superviseToEnd();
  ::_exit(started.ok() ? 0 : 1);
}

}  // namespace podlab::node
