#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include "sim/sim_clock.hpp"
#include "transport/memory.hpp"
#include "transport/rpc.hpp"

namespace podlab::transport {

/// An io_context in virtual time.
class SimTest : public ::testing::Test {
 protected:
  /// Runs the coroutine to its end, moving time as needed.
  void run(Co<void> task) { clock_.run(std::move(task)); }
  template <typename T>
  T value(Co<T> task) {
    return sim::runInSim(clock_, std::move(task));
  }
  /// Starts the coroutine and lets it run beside the test.
  void background(Co<void> task) { asio::co_spawn(io_, std::move(task), asio::detached); }

  asio::io_context io_;
  sim::SimClock clock_{io_};
};

/// Two RPC connections over a memory pipe.
class RpcTest : public SimTest {
 protected:
  ~RpcTest() override { closeBoth(); }

  void connect(rpc::Handler serverHandler, rpc::ConnectionOptions serverOptions = {},
               rpc::Handler clientHandler = nullptr, rpc::ConnectionOptions clientOptions = {},
               std::size_t pipe = 64 << 10) {
    auto [clientEnd, serverEnd] = makeMemoryPipe(pipe, "server", "client");
    server_ = rpc::makeConnection(io_.get_executor(), clock_, std::move(serverEnd), true,
                                  std::move(serverHandler), serverOptions);
    client_ = rpc::makeConnection(io_.get_executor(), clock_, std::move(clientEnd), false,
                                  std::move(clientHandler), clientOptions);
  }
  void closeBoth() {
    client_.reset();
    server_.reset();
    clock_.advance(std::chrono::seconds(2));
  }

  std::unique_ptr<rpc::Stream> open(std::string method = "test") {
    auto stream = value(client_->open(std::move(method)));
    EXPECT_TRUE(stream.ok()) << stream.status().toString();
    return std::move(*stream);
  }

  std::shared_ptr<rpc::Connection> client_;
  std::shared_ptr<rpc::Connection> server_;
};

/// Answers each message with itself until the peer finishes.
inline Co<Status> echo(rpc::Connection&, rpc::Stream& stream) {
  while (true) {
    auto message = co_await stream.receive();
    if (!message) co_return message.status();
    Status sent = co_await stream.send(std::move(*message));
    if (!sent) co_return sent;
  }
}

}  // namespace podlab::transport
