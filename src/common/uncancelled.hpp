#pragma once
#include <memory>
#include <optional>
#include <utility>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

#include "common/co.hpp"
#include "common/sync.hpp"

namespace podlab {

/// Runs `task` on `executor` to its end, also when the caller, which waits for its result, is
/// cancelled: the result is destroyed then. The task must own what it touches, and not throw.
template <typename T>
Co<T> uncancelled(asio::any_io_executor executor, Co<T> task) {
  struct State {
    std::optional<T> result;
    WaitQueue finished;
  };
  auto state = std::make_shared<State>();
  auto run = [](std::shared_ptr<State> shared, Co<T> inner) -> Co<void> {
    shared->result.emplace(co_await std::move(inner));
    shared->finished.notifyAll();
  };
  asio::co_spawn(executor, run(state, std::move(task)), asio::detached);
  while (!state->result) co_await state->finished.wait();
  co_return std::move(*state->result);
}

}  // namespace podlab
