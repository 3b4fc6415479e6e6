#pragma once
// What the programs of the benchmarks share: how they fail, run and end.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <utility>

#include <asio.hpp>

#include "common/co.hpp"
#include "common/status.hpp"

namespace podlab::bench {

[[noreturn]] inline void die(const std::string& why) {
  std::fprintf(stderr, "error: %s\n", why.c_str());
  std::fflush(stdout);
  std::_Exit(1);  // whatever other threads and namespaces there are
}

inline void must(const Status& status) {
  if (!status) die(status.toString());
}
template <typename T>
T must(Result<T> result) {
  must(result.status());
  return std::move(*result);
}

/// Runs the loop until the task is done.
inline void runToEnd(asio::io_context& io, Co<void> task) {
  asio::co_spawn(io, std::move(task), [&io](const std::exception_ptr& error) {
    if (error) die("a broken invariant");
    io.stop();
  });
  io.run();
}

/// Until whoever started the program closes its stdin.
inline Co<void> untilInputEnds() {
  asio::posix::stream_descriptor input(co_await asio::this_coro::executor, 0);
  char byte = 0;
  asio::error_code end;
  while (!end) {
    auto token = asio::redirect_error(asio::use_awaitable, end);
    (void)co_await input.async_read_some(asio::buffer(&byte, 1), token);
  }
}

}  // namespace podlab::bench
