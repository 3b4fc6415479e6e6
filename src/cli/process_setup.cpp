#include "cli/process_setup.hpp"

#include <algorithm>
#include <csignal>

#include <asio.hpp>

namespace podlab::cli {

LogLevel logLevelOf(std::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warn") return LogLevel::kWarning;
  if (name == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

Result<CertificateFiles> readCertificates(Filesystem& files, const std::string& folder,
                                          const std::string& name) {
  auto ca = files.readFile(folder + "/ca.crt");
  auto certificate = files.readFile(folder + "/" + name + ".crt");
  auto key = files.readFile(folder + "/" + name + ".key");
  for (const auto* part : {&ca, &certificate, &key}) {
    if (!*part) return part->status();
  }
  return CertificateFiles{*ca, {*certificate, *key}};
}

Co<void> sleepUntil(Clock& clock, WallTime time) {
  while (clock.wallNow() < time)
    co_await clock.sleepFor(std::min<Duration>(time - clock.wallNow(), std::chrono::hours(1)));
}

int runProcess(asio::io_context& io, Co<Status> main, std::string_view failed) {
  int code = 0;
  asio::co_spawn(io, std::move(main), [&](const std::exception_ptr& error, Status status) {
    if (error) {
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& e) {
        status = Status(Code::kInternal, e.what());
      }
    }
    if (!status.ok()) {
      logError(failed, {{"error", status}});
      code = 1;
    }
    io.stop();
  });
  io.run();
  return code;
}

Co<void> waitForTermination() {
  asio::signal_set signals(co_await asio::this_coro::executor, SIGTERM, SIGINT);
  co_await signals.async_wait(asio::use_awaitable);
}

}  // namespace podlab::cli
