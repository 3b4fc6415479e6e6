#include "node/exec_session.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include <asio.hpp>

#include "common/pipe.hpp"
#include "common/readable.hpp"
#include "common/spawn.hpp"
#include "common/sync.hpp"
#include "common/uncancelled.hpp"
#include "node/console_socket.hpp"
#include "node/oci_config.hpp"
#include "node/program_input.hpp"
#include "node/shim_state.hpp"

namespace podlab::node {
namespace {

using Descriptor = asio::posix::stream_descriptor;

/// What the runtime inherits beside its stdio: the pipe for the program's pid, and the folder of
/// the terminal's socket (a path through /proc/self/fd fits into a socket address, however deep the
/// folder is).
constexpr int kPidDescriptor = 3;
constexpr int kFolderDescriptor = 4;
/// The file with the program's process.json.
constexpr int kProcessDescriptor = 5;

/// A file in memory.
Result<UniqueFd> makeMemoryFile(const std::string& content) {
  UniqueFd file(::memfd_create("podlab-process", MFD_CLOEXEC));
  if (!file ||
      ::write(file.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size()))
    return errnoStatus(errno, "cannot write the program's configuration");
  return file;
}

/// The runtime's process and its streams. Lives until the process is reaped.
class Running : public std::enable_shared_from_this<Running> {
 public:
  explicit Running(const asio::any_io_executor& executor)
      : exit_(executor), in_(executor), streams_{Stream(executor), Stream(executor)} {}

  void takeProcess(Child child) {
    pid_ = child.pid;
    exit_.assign(child.pidfd.release());
    awaitExit();
  }
  void takeOutput(int index, UniqueFd fd) {
    streams_[index].descriptor.assign(fd.release());
    streams_[index].descriptor.non_blocking(true);
    await(index);
  }
  void setProgram(std::optional<ProcessIdentity> program) { program_ = std::move(program); }

  Co<int> exited() {
    while (!exitCode_) co_await changed_.wait();
    co_return *exitCode_;
  }

  Co<ExecSession::Output> read() {
    for (;;) {
      const bool over = exitCode_.has_value();
      for (int index : {0, 1}) {
        ExecSession::Output output{index == 1, "", std::nullopt};
        if (readSome(index, over, output.data)) co_return output;
      }
      // All that was written before the exit has been read.
      if (over) co_return ExecSession::Output{false, "", exitCode_};
      co_await changed_.wait();
    }
  }

  ProgramInput& input() { return in_; }

  /// Nobody listens any more.
  void abandon() {
    asio::error_code ignored;
    in_.close();
    for (auto& stream : streams_) stream.descriptor.close(ignored);
    if (exitCode_) return;
    if (program_) (void)signalProcess(*program_, SIGKILL);
    if (!program_) ::kill(pid_, SIGKILL);  // not reaped, so the pid is still its own
  }

 private:
  void awaitExit() {
    exit_.async_wait(Descriptor::wait_read,
                     [self = shared_from_this()](const asio::error_code& error) {
                       if (error) return;
                       if (!isReadable(self->exit_.native_handle())) return self->awaitExit();
                       self->exitCode_ = reapChild(self->pid_);
                       self->changed_.notifyAll();
                     });
  }

  struct Stream {
    explicit Stream(const asio::any_io_executor& executor) : descriptor(executor) {}
    Descriptor descriptor;
    bool readable = false;
  };

  void await(int index) {
    streams_[index].descriptor.async_wait(
        Descriptor::wait_read, [self = shared_from_this(), index](const asio::error_code& error) {
          if (error) return;
          self->streams_[index].readable = true;
          self->changed_.notifyAll();
        });
  }

  /// One read of a stream that is readable, or of any when the program is `over`.
  bool readSome(int index, bool over, std::string& data) {
    auto& stream = streams_[index];
    if (!stream.descriptor.is_open() || (!stream.readable && !over)) return false;
    std::array<char, 32UL * 1024> buffer;
    const ssize_t n = ::read(stream.descriptor.native_handle(), buffer.data(), buffer.size());
    if (n > 0) data.assign(buffer.data(), n);
    const bool end = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    asio::error_code ignored;
    if (end) stream.descriptor.close(ignored);
    if (!end && stream.readable) {
      stream.readable = false;
      await(index);
    }
    return n > 0;
  }

  Descriptor exit_;
  ProgramInput in_;
  std::array<Stream, 2> streams_;
  pid_t pid_ = 0;
  std::optional<ProcessIdentity> program_;
  std::optional<int> exitCode_;
  WaitQueue changed_;
};

class OciExecSession final : public ExecSession {
 public:
  OciExecSession(std::shared_ptr<Running> running, bool tty)
      : running_(std::move(running)), tty_(tty) {}
  ~OciExecSession() override { running_->abandon(); }

  Co<Result<Output>> read() override { co_return co_await running_->read(); }
  Co<Status> writeStdin(std::string data) override {
    co_return co_await running_->input().write(std::move(data));
  }
  void closeStdin() override {
    if (tty_) {
      running_->input().sendEndOfFile();
    } else {
      running_->input().close();
    }
  }
  Status resize(int rows, int columns) override {
    if (!tty_) return Status(Code::kBadRequest, "resize: the program has no terminal");
    return running_->input().resize(rows, columns);
  }

 private:
  std::shared_ptr<Running> running_;
  bool tty_;
};

/// The file name of the next terminal's socket.
std::string terminalName() {
  static int count = 0;
  return "exec-" + std::to_string(++count) + ".sock";
}

Co<Result<std::unique_ptr<ExecSession>>> startNow(asio::any_io_executor executor,
                                                  BlockingPool& pool,
                                                  std::vector<std::string> command, int runtime,
                                                  std::string id, ExecSpec spec, std::string folder,
                                                  std::vector<std::string> cgroups,
                                                  std::string config) {
  if (spec.argv.empty()) co_return Status(Code::kInvalid, "command: Required value");
  auto pidPipe = makePipe();
  if (!pidPipe) co_return pidPipe.status();
  auto err = makePipe();
  if (!err) co_return err.status();
  Result<Pipe> in = Pipe{};
  Result<Pipe> out = Pipe{};
  std::optional<ConsoleSocket> console;
  SpawnSpec child;
  child.argv = std::move(command);
  child.program = runtime;
  child.cgroups = std::move(cgroups);
  child.argv.push_back("--pid-file=/proc/self/fd/" + std::to_string(kPidDescriptor));
  child.descriptors = {{err->write.get(), STDERR_FILENO}, {pidPipe->write.get(), kPidDescriptor}};
  auto process = makeMemoryFile(execProcess(config, spec));
  if (!process) co_return process.status();
  child.argv.push_back("--process=/proc/self/fd/" + std::to_string(kProcessDescriptor));
  child.descriptors.emplace_back(process->get(), kProcessDescriptor);
  const std::string terminal = terminalName();
  if (spec.tty) {
    auto listening = ConsoleSocket::listen(folder, terminal);
    if (!listening) co_return listening.status();
    console.emplace(std::move(*listening));
    child.argv.push_back("--console-socket=/proc/self/fd/" + std::to_string(kFolderDescriptor) +
                         "/" + terminal);
    child.descriptors.emplace_back(console->folder(), kFolderDescriptor);
  } else {
    out = makePipe();
    if (!out) co_return out.status();
    child.descriptors.emplace_back(out->write.get(), STDOUT_FILENO);
    if (spec.stdin) {
      in = makePipe();
      if (!in) co_return in.status();
      child.descriptors.emplace_back(in->read.get(), STDIN_FILENO);
    }
  }
  child.argv.push_back(std::move(id));

  auto spawned = co_await pool.run([child] { return spawn(child); });
  if (!spawned) co_return spawned.status();
  pidPipe->write.reset();
  err->write.reset();
  out->write.reset();
  in->read.reset();
  auto running = std::make_shared<Running>(executor);
  running->takeProcess(std::move(*spawned));
  // From here on the session kills the program when it goes.
  auto session = std::make_unique<OciExecSession>(running, spec.tty);

  Descriptor pid(executor, pidPipe->read.release());
  std::array<char, 32> digits{};
  asio::error_code ignored;
  const auto length =
      co_await pid.async_read_some(asio::buffer(digits.data(), digits.size() - 1),
                                   asio::redirect_error(asio::use_awaitable, ignored));
  if (length == 0) {
    // The runtime failed before there was a program.
    (void)co_await running->exited();
    std::string text = readMessage(err->read.get());
    if (text.empty() && console) {
      // It had the terminal already.
      if (auto master = console->receive()) text = readMessage(master->get());
    }
    co_return runtimeFailure(text, spec.argv[0]);
  }
  running->setProgram(identifyProcess(std::atoi(digits.data())));
  if (spec.tty) {
    auto master = console->receive();
    if (!master) co_return master.status();
    running->input().open(UniqueFd(::fcntl(master->get(), F_DUPFD_CLOEXEC, 0)));
    running->takeOutput(0, std::move(*master));
  } else {
    running->takeOutput(0, std::move(out->read));
    if (spec.stdin) running->input().open(std::move(in->write));
  }
  running->takeOutput(1, std::move(err->read));
  co_return std::unique_ptr<ExecSession>(std::move(session));
}

}  // namespace

Co<Result<std::unique_ptr<ExecSession>>> startExec(
    asio::any_io_executor executor, BlockingPool& pool, std::vector<std::string> command,
    int runtime, std::string id, ExecSpec spec, std::string folder,
    std::vector<std::string> cgroups, std::string config) {
  // What has begun is not left half-way: nobody would reap the program.
  auto start = startNow(executor, pool, std::move(command), runtime, std::move(id), std::move(spec),
                        std::move(folder), std::move(cgroups), std::move(config));
  co_return co_await uncancelled(executor, std::move(start));
}

}  // namespace podlab::node
