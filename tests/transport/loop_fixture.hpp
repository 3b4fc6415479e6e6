#pragma once
#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include "common/co.hpp"

namespace podlab::transport {

/// An io_context in real time, for real sockets.
class LoopTest : public ::testing::Test {
 protected:
  /// The result of the task, with whatever else is on the loop running beside it.
  template <typename T>
  T value(Co<T> task) {
    std::optional<T> result;
    auto body = [](Co<T> inner, std::optional<T>& out) -> Co<void> {
      out.emplace(co_await std::move(inner));
    };
    asio::co_spawn(io_, body(std::move(task), result), asio::detached);
    io_.restart();
    while (!result && io_.run_one() > 0) {
    }
    return std::move(*result);
  }

  asio::io_context io_;
};

}  // namespace podlab::transport
