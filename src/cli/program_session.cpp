#include "cli/program_session.hpp"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>

#include <asio.hpp>

#include "agent_rpc.pb.h"

#include "cli/std_stream.hpp"
#include "common/sync.hpp"

namespace podlab::cli {
namespace {

/// The terminal in raw mode while it lives.
class RawTerminal {
 public:
  RawTerminal() {
    if (::tcgetattr(STDIN_FILENO, &before_) < 0) return;
    termios raw = before_;
    ::cfmakeraw(&raw);
    active_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  ~RawTerminal() {
    if (active_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  termios before_{};
  bool active_ = false;
};

/// Frames on their way to the command. Input and window changes come from two tasks, and a stream
/// takes one send at a time; input is read no faster than the command takes it.
struct Outbox {
  static constexpr std::size_t kFullAt = 16;
  AsyncQueue<rpc::ExecFrame> frames;
  WaitQueue taken;
};

Co<void> sendFrames(rpc::Stream& stream, Outbox& outbox) {
  while (auto frame = co_await outbox.frames.pop()) {
    outbox.taken.notifyAll();
    std::string message = rpc::encode(*frame);
    if (Status status = co_await stream.send(std::move(message)); !status.ok()) co_return;
  }
}

Co<void> readInput(asio::any_io_executor executor, Outbox& outbox) {
  StdStream input(executor, STDIN_FILENO);
  std::array<char, 16384> buffer;
  for (;;) {
    while (outbox.frames.size() >= Outbox::kFullAt) co_await outbox.taken.wait();
    co_await input.waitReadable();
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    rpc::ExecFrame frame;
    if (n <= 0) {
      frame.set_stdinend(true);
      outbox.frames.push(std::move(frame));
      co_return;
    }
    frame.set_stdin(buffer.data(), static_cast<std::size_t>(n));
    outbox.frames.push(std::move(frame));
  }
}

/// `more` rows and columns than there are.
void pushWindowSize(Outbox& outbox, unsigned more = 0) {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0) return;
  rpc::ExecFrame frame;
  frame.set_rows(size.ws_row + more);
  frame.set_columns(size.ws_col + more);
  outbox.frames.push(std::move(frame));
}

Co<void> watchWindow(asio::any_io_executor executor, Outbox& outbox) {
  asio::signal_set signals(executor, SIGWINCH);
  for (;;) {
    co_await signals.async_wait(asio::use_awaitable);
    pushWindowSize(outbox);
  }
}

Co<int> receiveOutput(asio::any_io_executor executor, rpc::Stream& stream, bool wantsExitCode) {
  StdStream out(executor, STDOUT_FILENO);
  StdStream err(executor, STDERR_FILENO);
  for (;;) {
    auto bytes = co_await stream.receive();
    if (!bytes && !bytes.status().is(Code::kEndOfStream)) co_return fail(bytes.status());
    if (!bytes && !wantsExitCode) co_return kDone;
    if (!bytes)
      co_return fail(Status(Code::kUnavailable, "the command's exit code did not arrive"));
    rpc::ExecFrame frame;
    if (Status status = rpc::decode(*bytes, frame); !status.ok()) co_return fail(status);
    if (frame.has_stdout()) (void)co_await out.write(frame.stdout());
    if (frame.has_stderr()) (void)co_await err.write(frame.stderr());
    if (wantsExitCode && frame.has_exitcode()) {
      if (frame.exitcode() != 0)
        std::fprintf(stderr, "command terminated with exit code %d\n", frame.exitcode());
      co_return frame.exitcode();
    }
  }
}

}  // namespace

Co<int> runProgramSession(Session& session, rpc::Stream& stream, ProgramSession options) {
  const auto executor = session.io.get_executor();
  Outbox outbox;
  TaskGroup tasks(executor);
  std::optional<RawTerminal> raw;
  if (options.tty) {
    raw.emplace();
    if (options.redraw) pushWindowSize(outbox, 1);
    pushWindowSize(outbox);
    tasks.spawn("window", watchWindow(executor, outbox));
  }
  tasks.spawn("send", sendFrames(stream, outbox));
  if (options.stdin) tasks.spawn("input", readInput(executor, outbox));
  const int code = co_await receiveOutput(executor, stream, options.exitCode);
  co_await tasks.cancelAndJoin();
  co_return code;
}

}  // namespace podlab::cli
