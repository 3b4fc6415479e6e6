#include "common/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include <asio.hpp>

#include "common/readable.hpp"
#include "common/spawn.hpp"
#include "common/sync.hpp"
#include "common/unique_fd.hpp"

namespace podlab {
namespace {

/// Appends what `fd` has now to `kept`, up to `limit`, and drops the rest; false at the end.
bool drain(int fd, std::string& kept, std::size_t limit) {
  std::array<char, 65536> buffer;
  for (;;) {
    ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    kept.append(buffer.data(), std::min<std::size_t>(n, limit - std::min(limit, kept.size())));
  }
}

/// One running program. It lives until the program is reaped, also when nobody waits any more.
class Process : public std::enable_shared_from_this<Process> {
 public:
  Process(const asio::any_io_executor& executor, std::size_t maxOutput)
      : maxOutput_(maxOutput), exit_(executor), out_(executor), err_(executor) {}

  Status start(const ProcessSpec& spec) {
    const auto failed = [&spec] {
      return errnoStatus(errno, "cannot run " + (spec.argv.empty() ? "" : spec.argv[0]));
    };
    std::array<int, 2> out{-1, -1};
    std::array<int, 2> err{-1, -1};
    if (::pipe2(out.data(), O_CLOEXEC) < 0) return failed();
    UniqueFd outRead(out[0]);
    UniqueFd outWrite(out[1]);
    if (::pipe2(err.data(), O_CLOEXEC) < 0) return failed();
    UniqueFd errRead(err[0]);
    UniqueFd errWrite(err[1]);
    // Input from memory: no pipe to fill while the program may have stopped reading.
    UniqueFd in;
    if (spec.inputFile < 0) {
      in.reset(spec.input.empty() ? ::open("/dev/null", O_RDONLY | O_CLOEXEC)
                                  : ::memfd_create("stdin", MFD_CLOEXEC));
      if (!in) return failed();
    }
    for (std::string_view left = spec.input; !left.empty();) {
      ssize_t n = ::write(in.get(), left.data(), left.size());
      if (n < 0) return failed();
      left.remove_prefix(n);
    }
    if (!spec.input.empty()) ::lseek(in.get(), 0, SEEK_SET);

    SpawnSpec child;
    child.argv = spec.argv;
    child.program = spec.program;
    child.env = spec.env;
    child.descriptors = {
        {in ? in.get() : spec.inputFile, 0}, {outWrite.get(), 1}, {errWrite.get(), 2}};
    auto spawned = spawn(child);
    if (!spawned) return spawned.status();
    pid_ = spawned->pid;
    exit_.assign(spawned->pidfd.release());
    out_.assign(outRead.release());
    err_.assign(errRead.release());
    out_.non_blocking(true);
    err_.non_blocking(true);
    collect(out_, result_.out);
    collect(err_, result_.err);
    awaitExit();
    return {};
  }

  void kill() { ::syscall(SYS_pidfd_send_signal, exit_.native_handle(), SIGKILL, nullptr, 0); }
  void timeOut() {
    result_.timedOut = true;
    kill();
  }
  /// Nobody wants the result: the program is killed, and reaped when it is dead.
  void abandon() {
    if (done_) return;
    kill();
    closePipes();
  }
  bool done() const { return done_; }
  WaitQueue& finished() { return finished_; }
  ProcessOutput takeResult() { return std::move(result_); }

 private:
  void collect(asio::posix::stream_descriptor& pipe, std::string& kept) {
    pipe.async_wait(asio::posix::stream_descriptor::wait_read,
                    [self = shared_from_this(), &pipe, &kept](const asio::error_code& error) {
                      if (error || self->done_ || !pipe.is_open()) return;
                      if (drain(pipe.native_handle(), kept, self->maxOutput_)) {
                        self->collect(pipe, kept);
                      }
                    });
  }

  void awaitExit() {
    exit_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](const asio::error_code& error) {
                       if (error) return;
                       if (!isReadable(self->exit_.native_handle())) return self->awaitExit();
                       self->reap();
                     });
  }

  void reap() {
    result_.exitCode = reapChild(pid_);
    // What the program wrote is in the pipes; a descendant that keeps them open is not waited for.
    if (out_.is_open()) drain(out_.native_handle(), result_.out, maxOutput_);
    if (err_.is_open()) drain(err_.native_handle(), result_.err, maxOutput_);
    done_ = true;
    closePipes();
    exit_.close();
    finished_.notifyAll();
  }

  void closePipes() {
    asio::error_code ignored;
    out_.close(ignored);
    err_.close(ignored);
  }

  std::size_t maxOutput_;
  pid_t pid_ = 0;
  asio::posix::stream_descriptor exit_;
  asio::posix::stream_descriptor out_;
  asio::posix::stream_descriptor err_;
  ProcessOutput result_;
  bool done_ = false;
  WaitQueue finished_;
};

class RealProcessRunner final : public ProcessRunner {
 public:
  RealProcessRunner(asio::any_io_executor executor, Clock& clock)
      : executor_(std::move(executor)), clock_(clock) {}

  Co<Result<ProcessOutput>> run(ProcessSpec spec) override {
    auto process = std::make_shared<Process>(executor_, spec.maxOutput);
    Status started = process->start(spec);
    if (!started) co_return started;
    struct Guard {
      std::shared_ptr<Process> process;
      Clock& clock;
      Clock::TimerId timer = 0;
      ~Guard() {
        clock.cancel(timer);
        process->abandon();
      }
    };
    Guard guard{process, clock_};
    if (spec.timeout) {
      guard.timer = clock_.scheduleIn(*spec.timeout, [process] { process->timeOut(); });
    }
    while (!process->done()) co_await process->finished().wait();
    co_return process->takeResult();
  }

 private:
  asio::any_io_executor executor_;
  Clock& clock_;
};

}  // namespace

std::unique_ptr<ProcessRunner> makeProcessRunner(asio::any_io_executor executor, Clock& clock) {
  return std::make_unique<RealProcessRunner>(std::move(executor), clock);
}

}  // namespace podlab
