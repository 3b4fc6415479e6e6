#include "cli/session.hpp"

#include <asio.hpp>

#include "common/filesystem.hpp"
#include "common/real_clock.hpp"
#include "common/sync.hpp"
#include "transport/unix.hpp"

namespace podlab::cli {
namespace {

/// The path of the lab's socket.
Result<std::string> socketOf(const Context& context) {
  const auto paths = existingLab(context);
  if (!paths) return paths.status();
  if (!lab::runningLab(*paths)) {
    return Status(Code::kUnavailable, "the lab \"" + context.lab +
                                          "\" is not running; start it with: podlab up" +
                                          nameFlag(context));
  }
  return paths->adminSocket();
}

Co<void> finishUp(TaskGroup& tasks, asio::signal_set& signals, std::function<Co<void>()> cleanUp) {
  co_await tasks.join();
  if (cleanUp) co_await cleanUp();
  signals.cancel();
}

/// Runs `main` until it ends or a signal cancels it, and `cleanUp` in either case.
void runUntilDone(asio::io_context& io, Co<void> main, int& code,
                  std::function<Co<void>()> cleanUp = nullptr) {
  TaskGroup tasks(io.get_executor());
  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](const asio::error_code& error, int) {
    if (error) return;
    code = kInterrupted;
    tasks.cancel();
  });
  tasks.spawn("command", std::move(main));
  asio::co_spawn(io, finishUp(tasks, signals, std::move(cleanUp)), asio::detached);
  io.run();
}

}  // namespace

int withSession(const Context& context, const std::function<Co<int>(Session&)>& command) {
  auto socket = socketOf(context);
  if (!socket) return fail(socket.status());

  asio::io_context io;
  auto clock = makeRealClock(io.get_executor());
  auto rng = makeSystemRng();
  auto dialer = transport::makeUnixDialer(io.get_executor());
  client::ReconnectingConnection::Options options;
  options.address = *socket;
  client::ReconnectingConnection connection(io.get_executor(), *clock, *rng, *dialer,
                                            std::move(options));
  client::RemoteApi api(connection, *clock);
  Session session{context, io, *clock, *rng, connection, api};

  int code = kFailed;
  connection.start();
  auto main = [](Session& current, const std::function<Co<int>(Session&)>& body,
                 int& result) -> Co<void> { result = co_await body(current); };
  runUntilDone(io, main(session, command, code), code, [&connection] { return connection.stop(); });
  return code;
}

int runCoroutine(const std::function<Co<int>(asio::io_context&, Clock&)>& command) {
  asio::io_context io;
  auto clock = makeRealClock(io.get_executor());
  int code = kFailed;
  auto main = [](asio::io_context& context, Clock& time,
                 const std::function<Co<int>(asio::io_context&, Clock&)>& body,
                 int& result) -> Co<void> { result = co_await body(context, time); };
  runUntilDone(io, main(io, *clock, command, code), code);
  return code;
}

}  // namespace podlab::cli
