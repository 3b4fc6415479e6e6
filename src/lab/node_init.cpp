#include "lab/node_init.hpp"

#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>

#include <asio.hpp>

#include "common/log.hpp"
#include "common/real_clock.hpp"
#include "common/status.hpp"
#include "lab/isolate.hpp"
#include "lab/mounts.hpp"
#include "lab/restart_delay.hpp"

namespace podlab::lab {
namespace {

using std::chrono::seconds;

constexpr Duration kShutdownGrace = seconds(2);

class NodeInit {
 public:
  explicit NodeInit(const NodeInitOptions& options)
      : options_(options),
        clock_(makeRealClock(io_.get_executor())),
        signals_(io_, SIGCHLD, SIGTERM, SIGINT) {
    signals_.add(kKillAgent);
  }

  int run() {
    waitForSignal();
    startAgent();
    io_.run();
    return 0;
  }

 private:
  void waitForSignal() {
    signals_.async_wait([this](const asio::error_code& error, int signal) {
      if (error) return;
      if (signal == kKillAgent) {
        if (agent_ > 0) ::kill(agent_, SIGKILL);
      } else if (signal != SIGCHLD) {
        shutDown();
      }
      reap();
      waitForSignal();
    });
  }

  void startAgent() {
    IsolatedSpec spec;
    spec.argv = options_.agent;
    auto started = startIsolated(spec);
    startedAt_ = clock_->now();
    if (started) {
      agent_ = *started;
      logInfo("agent_started", {{"pid", agent_}});
    } else {
      logError("agent_not_started", {{"error", started.status()}});
      agentGone();
    }
  }

  void agentGone(bool killed = false) {
    agent_ = 0;
    if (stopping_) return terminateRest();
    clock_->scheduleIn(delay_.next(clock_->now() - startedAt_, killed), [this] {
      if (!stopping_) startAgent();
    });
  }

  void reap() {
    int status = 0;
    pid_t pid;
    while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
      if (pid != agent_) continue;
      logWarning("agent_ended",
                 {{"exit_code", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)}});
      agentGone(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    if (terminating_ && pid < 0 && errno == ECHILD) io_.stop();
  }

  void shutDown() {
    if (stopping_) return;
    stopping_ = true;
    clock_->scheduleIn(kShutdownGrace, [this] { io_.stop(); });
    if (agent_ > 0) {
      ::kill(agent_, SIGTERM);
    } else {
      terminateRest();
    }
  }

  void terminateRest() {
    terminating_ = true;
    ::kill(-1, SIGTERM);
  }

  const NodeInitOptions& options_;
  asio::io_context io_;
  std::unique_ptr<Clock> clock_;
  asio::signal_set signals_;
  pid_t agent_ = 0;
  MonoTime startedAt_{};
  RestartDelay delay_;
  bool stopping_ = false;
  bool terminating_ = false;
};

Status prepare(const NodeInitOptions& options) {
  if (Status status = makeMountsPrivate(); !status.ok()) return status;
  if (Status status = mountProc(); !status.ok()) return status;
  if (Status status = mountTmpfs(options.runDir); !status.ok()) return status;
  // What pods with hostIPC share is the node's.
  if (Status status = mountTmpfs("/dev/shm", "mode=1777"); !status.ok()) return status;
  if (Status status = makeMountsShared(); !status.ok()) return status;
  if (Status status = keepMountsIn(options.containersDir); !status.ok()) return status;
  if (::sethostname(options.hostname.data(), options.hostname.size()) < 0)
    return errnoStatus(errno, "sethostname");
  char go = 0;
  if (::read(options.startFd, &go, 1) != 1)
    return Status(Code::kUnavailable, "the lab could not connect this node");
  ::close(options.startFd);
  return {};
}

}  // namespace

int runNodeInit(const NodeInitOptions& options) {
  if (Status status = prepare(options); !status.ok()) {
    logError("node_not_started", {{"error", status}});
    return 1;
  }
  return NodeInit(options).run();
}

}  // namespace podlab::lab
