#pragma once
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "common/co.hpp"

namespace podlab {

/// Threads for work that blocks (fsync, namespace entry, big dumps); results come back to the
/// caller's executor. A job that has begun runs to its end, also when the waiting coroutine is
/// cancelled: it must own what it touches.
class BlockingPool {
 public:
  virtual ~BlockingPool() = default;
  /// Runs `job` on a pool thread and resumes the coroutine on its own executor when done.
  virtual Co<void> runVoid(std::function<void()> job) = 0;

  /// The same for a job that returns a value; the job must not throw.
  template <typename F>
  auto run(F job) -> Co<std::invoke_result_t<F>> {
    using T = std::invoke_result_t<F>;
    auto result = std::make_shared<std::optional<T>>();
    auto shared = std::make_shared<F>(std::move(job));
    std::function<void()> body = [result, shared] { result->emplace((*shared)()); };
    co_await runVoid(std::move(body));
    co_return std::move(**result);
  }
};

/// `threads` > 0 threads of the process.
std::unique_ptr<BlockingPool> makeThreadPool(std::size_t threads);
/// Runs each job in place: for tests and virtual time.
std::unique_ptr<BlockingPool> makeInlinePool();

}  // namespace podlab
