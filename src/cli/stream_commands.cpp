#include "cli/stream_commands.hpp"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>

#include <asio.hpp>

#include "agent_rpc.pb.h"

#include "cli/resources.hpp"
#include "common/sync.hpp"

namespace podlab::cli {
namespace {

struct LogOptions {
  std::string pod;
  std::string container;
  std::string ns = "default";
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  std::optional<std::int64_t> tail;
  std::optional<std::int64_t> limitBytes;
  std::string since;
};

Co<Result<std::unique_ptr<rpc::Stream>>> openStream(Session& session, std::string method) {
  auto connection = co_await session.connection.get(session.clock.now() + std::chrono::seconds(10));
  if (!connection) co_return connection.status();
  co_return co_await (*connection)->open(std::move(method));
}

void writeAll(int fd, const std::string& data) {
  std::size_t written = 0;
  while (written < data.size()) {
    const ssize_t n = ::write(fd, data.data() + written, data.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    written += static_cast<std::size_t>(n);
  }
}

/// Says which of several containers it will be, as kubectl does (polymorphichelpers).
Co<void> tellDefault(Session& session, api::ResourceId id) {
  auto object = co_await session.api.get(std::move(id));
  if (!object) co_return;  // the request itself says it better
  const auto& spec = api::as<corev1::Pod>(*object).spec();
  if (spec.containers_size() + spec.initcontainers_size() < 2) co_return;
  std::string names;
  for (const auto& container : spec.containers())
    names += (names.empty() ? "" : ", ") + container.name();
  for (const auto& container : spec.initcontainers()) names += ", " + container.name() + " (init)";
  say(session.context,
      "Defaulted container \"" + spec.containers(0).name() + "\" out of: " + names);
}

Co<int> logs(Session& session, const LogOptions& options, api::ResourceId pod) {
  rpc::LogRequest request;
  request.set_namespace_(pod.ns);
  request.set_pod(pod.name);
  request.set_container(options.container);
  request.set_follow(options.follow);
  request.set_previous(options.previous);
  request.set_timestamps(options.timestamps);
  if (options.tail && *options.tail >= 0) request.set_taillines(*options.tail);
  if (options.limitBytes) request.set_limitbytes(*options.limitBytes);
  if (!options.since.empty()) {
    const auto since = parseDuration(options.since);
    if (!since)
      co_return failUsage("--since: \"" + options.since +
                          "\" is not a duration such as 5s, 2m or 3h");
    request.set_sincenanos((session.clock.wallNow() - *since).time_since_epoch().count());
  }
  if (options.container.empty()) co_await tellDefault(session, pod);
  auto stream = co_await openStream(session, "logs");
  if (!stream) co_return failRequest(stream.status());
  std::string message = rpc::encode(request);
  if (Status status = co_await (*stream)->send(std::move(message)); !status.ok())
    co_return fail(status);
  for (;;) {
    auto bytes = co_await (*stream)->receive();
    if (!bytes)
      co_return bytes.status().is(Code::kEndOfStream) ? kDone : failRequest(bytes.status());
    rpc::LogChunk chunk;
    if (Status status = rpc::decode(*bytes, chunk); !status.ok()) co_return fail(status);
    writeAll(STDOUT_FILENO, chunk.data());
  }
}

struct ExecOptions {
  std::string pod;
  std::string container;
  std::string ns = "default";
  bool stdin = false;
  bool tty = false;
  std::vector<std::string> command;
};

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
  asio::posix::stream_descriptor input(executor, ::dup(STDIN_FILENO));
  std::array<char, 16384> buffer;
  for (;;) {
    while (outbox.frames.size() >= Outbox::kFullAt) co_await outbox.taken.wait();
    asio::error_code error;
    std::size_t n = 0;
    // epoll takes no regular files; these never block.
    co_await input.async_wait(asio::posix::stream_descriptor::wait_read,
                              asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::operation_aborted) co_return;
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    n = got > 0 ? static_cast<std::size_t>(got) : 0;
    rpc::ExecFrame frame;
    if (n == 0) {
      frame.set_stdinend(true);
      outbox.frames.push(std::move(frame));
      co_return;
    }
    frame.set_stdin(buffer.data(), n);
    outbox.frames.push(std::move(frame));
  }
}

void pushWindowSize(Outbox& outbox) {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0) return;
  rpc::ExecFrame frame;
  frame.set_rows(size.ws_row);
  frame.set_columns(size.ws_col);
  outbox.frames.push(std::move(frame));
}

Co<void> watchWindow(asio::any_io_executor executor, Outbox& outbox) {
  asio::signal_set signals(executor, SIGWINCH);
  for (;;) {
    co_await signals.async_wait(asio::use_awaitable);
    pushWindowSize(outbox);
  }
}

Co<int> receiveOutput(rpc::Stream& stream) {
  for (;;) {
    auto bytes = co_await stream.receive();
    if (!bytes)
      co_return fail(bytes.status().is(Code::kEndOfStream)
                         ? Status(Code::kUnavailable, "the command's exit code did not arrive")
                         : bytes.status());
    rpc::ExecFrame frame;
    if (Status status = rpc::decode(*bytes, frame); !status.ok()) co_return fail(status);
    if (frame.has_stdout()) writeAll(STDOUT_FILENO, frame.stdout());
    if (frame.has_stderr()) writeAll(STDERR_FILENO, frame.stderr());
    if (frame.has_exitcode()) {
      if (frame.exitcode() != 0)
        std::fprintf(stderr, "command terminated with exit code %d\n", frame.exitcode());
      co_return frame.exitcode();
    }
  }
}

Co<int> exec(Session& session, const ExecOptions& options, api::ResourceId pod) {
  rpc::ExecRequest request;
  request.set_namespace_(pod.ns);
  request.set_pod(pod.name);
  request.set_container(options.container);
  for (const auto& word : options.command) request.add_command(word);
  request.set_stdin(options.stdin);
  const bool tty = options.tty && options.stdin && ::isatty(STDIN_FILENO);
  if (options.tty && !tty)
    std::fputs("Unable to use a TTY - input is not a terminal or the right kind of file\n", stderr);
  request.set_tty(tty);
  if (options.container.empty()) co_await tellDefault(session, pod);
  auto stream = co_await openStream(session, "exec");
  if (!stream) co_return failRequest(stream.status());
  std::string message = rpc::encode(request);
  if (Status status = co_await (*stream)->send(std::move(message)); !status.ok())
    co_return fail(status);

  Outbox outbox;
  TaskGroup tasks(session.io.get_executor());
  std::optional<RawTerminal> raw;
  if (tty) {
    raw.emplace();
    pushWindowSize(outbox);
    tasks.spawn("window", watchWindow(session.io.get_executor(), outbox));
  }
  tasks.spawn("send", sendFrames(**stream, outbox));
  if (options.stdin) tasks.spawn("input", readInput(session.io.get_executor(), outbox));
  const int code = co_await receiveOutput(**stream);
  co_await tasks.cancelAndJoin();
  co_return code;
}

}  // namespace

void addStreamCommands(CLI::App& app, Context& context) {
  auto logOptions = std::make_shared<LogOptions>();
  auto* logsCommand = app.add_subcommand("logs", "Print a container's log");
  logsCommand->add_option("POD", logOptions->pod, "POD or pod/POD")->required();
  logsCommand->add_option("-c,--container", logOptions->container,
                          "The container, when the pod has several");
  addNamespaceFlag(*logsCommand, logOptions->ns);
  logsCommand->add_flag("-f,--follow", logOptions->follow, "Go on with what is written");
  logsCommand->add_flag("-p,--previous", logOptions->previous, "Of the container's previous run");
  logsCommand->add_flag("--timestamps", logOptions->timestamps, "A timestamp before each line");
  logsCommand->add_option("--tail", logOptions->tail, "Only the last lines, -1 all");
  logsCommand->add_option("--limit-bytes", logOptions->limitBytes, "At most so many bytes")
      ->check(CLI::PositiveNumber);
  logsCommand->add_option("--since", logOptions->since, "Only what is newer, e.g. 5m");
  logsCommand->callback([&context, logOptions] {
    auto pod = resolvePod(logOptions->pod, logOptions->ns);
    context.exitCode =
        pod ? withSession(context,
                          [&](Session& session) { return logs(session, *logOptions, *pod); })
            : fail(pod.status());
  });

  auto execOptions = std::make_shared<ExecOptions>();
  auto* execCommand =
      app.add_subcommand("exec", "Run a command in a container: exec POD [-it] -- COMMAND");
  execCommand->add_option("POD", execOptions->pod, "POD or pod/POD")->required();
  execCommand->add_option("-c,--container", execOptions->container,
                          "The container (default: the first)");
  addNamespaceFlag(*execCommand, execOptions->ns);
  execCommand->add_flag("-i,--stdin", execOptions->stdin, "Pass stdin");
  execCommand->add_flag("-t,--tty", execOptions->tty, "With a terminal");
  execCommand->add_option("COMMAND", execOptions->command, "The command, after --")->required();
  execCommand->callback([&context, execOptions] {
    auto pod = resolvePod(execOptions->pod, execOptions->ns);
    context.exitCode =
        pod ? withSession(context,
                          [&](Session& session) { return exec(session, *execOptions, *pod); })
            : fail(pod.status());
  });
}

}  // namespace podlab::cli
