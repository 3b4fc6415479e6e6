#include "cli/session.hpp"

#include <asio.hpp>

#include "common/filesystem.hpp"
#include "common/real_clock.hpp"
#include "common/sync.hpp"
#include "transport/tcp.hpp"
#include "transport/tls.hpp"

namespace podlab::cli {
namespace {

struct Target {
  std::string address;
  std::string ca;
  transport::Credentials admin;
};

Result<Target> targetOf(const Context& context) {
  auto paths = lab::labPaths(context.lab);
  if (!paths) return paths.status();
  auto files = makeRealFilesystem();
  if (!files->exists(paths->clusterFile())) {
    return Status(Code::kNotFound, "there is no lab \"" + context.lab +
                                       "\"; create it with: podlab up" +
                                       (context.lab == "default" ? "" : " --name " + context.lab));
  }
  if (!lab::runningLab(*paths)) {
    return Status(Code::kUnavailable,
                  "the lab \"" + context.lab + "\" is not running; start it with: podlab up" +
                      (context.lab == "default" ? "" : " --name " + context.lab));
  }
  auto address = files->readFile(paths->apiAddress());
  auto ca = files->readFile(paths->pki("ca.crt"));
  auto certificate = files->readFile(paths->pki("admin.crt"));
  auto key = files->readFile(paths->pki("admin.key"));
  for (const auto* part : {&address, &ca, &certificate, &key}) {
    if (!*part) return part->status();
  }
  return Target{*address, *ca, {*certificate, *key}};
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
  auto target = targetOf(context);
  if (!target) return fail(target.status());
  auto tls = transport::makeClientTls(target->ca, target->admin);
  if (!tls) return fail(tls.status());

  asio::io_context io;
  auto clock = makeRealClock(io.get_executor());
  auto rng = makeSystemRng();
  auto tcp = transport::makeTcpDialer(io.get_executor(), *clock);
  auto dialer = transport::makeTlsDialer(*tcp, *clock, *tls, "localhost");
  client::ReconnectingConnection::Options options;
  options.address = target->address;
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
