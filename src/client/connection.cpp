#include "client/connection.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "common/log.hpp"
#include "common/sync.hpp"

namespace podlab::client {

struct ReconnectingConnection::State {
  State(asio::any_io_executor ex, Clock& c, Rng& r, Dialer& d, Options o)
      : executor(std::move(ex)),
        clock(c),
        rng(r),
        dialer(d),
        options(std::move(o)),
        lastError(Code::kUnavailable, "not connected yet"),
        tasks(executor) {}

  asio::any_io_executor executor;
  Clock& clock;
  Rng& rng;
  Dialer& dialer;
  Options options;

  std::shared_ptr<rpc::Connection> live;  ///< dialled; perhaps still in onConnect
  bool ready = false;
  Status lastError;
  WaitQueue changed;
  TaskGroup tasks;

  /// One connection's life; the reason of its end.
  static Co<Status> connectOnce(std::shared_ptr<State> state) {
    auto stream = co_await state->dialer.dial(state->options.address);
    if (!stream) co_return stream.status();
    state->live = rpc::makeConnection(state->executor, state->clock, std::move(*stream), false,
                                      state->options.handler, state->options.rpc);
    auto connection = state->live;
    if (state->options.onConnect) {
      Status status = co_await state->options.onConnect(*connection);
      if (!status) {
        connection->close();
        (void)co_await connection->closed();
        co_return status;
      }
    }
    logInfo("connected", {{"server", state->options.address}});
    state->ready = true;
    state->lastError = Status();
    state->changed.notifyAll();
    co_return co_await connection->closed();
  }

  static Co<void> keepConnected(std::shared_ptr<State> state) {
    Duration backoff = state->options.minBackoff;
    bool reported = false;
    while (true) {
      MonoTime began = state->clock.now();
      state->lastError = co_await connectOnce(state);
      bool wasReady = std::exchange(state->ready, false);
      state->live.reset();
      // One line when the server goes away, not one for each attempt.
      if (wasReady || !reported) {
        logWarning("server_unreachable",
                   {{"server", state->options.address}, {"error", state->lastError.message()}});
      }
      reported = true;
      if (wasReady && state->clock.now() - began >= state->options.maxBackoff) {
        backoff = state->options.minBackoff;
      }
      auto half = static_cast<std::uint64_t>(std::max<Duration::rep>(backoff.count() / 2, 1));
      co_await state->clock.sleepFor(backoff - Duration(state->rng.below(half)));
      backoff = std::min(2 * backoff, state->options.maxBackoff);
    }
  }
};

ReconnectingConnection::ReconnectingConnection(asio::any_io_executor executor, Clock& clock,
                                               Rng& rng, Dialer& dialer, Options options)
    : state_(std::make_shared<State>(std::move(executor), clock, rng, dialer, std::move(options))) {
}

ReconnectingConnection::~ReconnectingConnection() {
  state_->tasks.cancel();
}

void ReconnectingConnection::start() {
  state_->tasks.spawn("connection", State::keepConnected(state_));
}

Co<void> ReconnectingConnection::stop() {
  auto state = state_;
  co_await state->tasks.cancelAndJoin();
  auto connection = std::exchange(state->live, nullptr);
  state->ready = false;
  state->lastError = Status(Code::kUnavailable, "stopped");
  state->changed.notifyAll();
  if (!connection) co_return;
  connection->close();
  (void)co_await connection->closed();
}

std::shared_ptr<rpc::Connection> ReconnectingConnection::current() const {
  return state_->ready ? state_->live : nullptr;
}

Co<Result<std::shared_ptr<rpc::Connection>>> ReconnectingConnection::get(MonoTime deadline) {
  auto state = state_;
  while (!state->ready) {
    if (!co_await state->changed.waitUntil(state->clock, deadline)) {
      co_return state->lastError.withContext("no connection to " + state->options.address);
    }
  }
  co_return state->live;
}

Status ReconnectingConnection::lastError() const {
  return state_->lastError;
}

const std::string& ReconnectingConnection::address() const {
  return state_->options.address;
}

}  // namespace podlab::client
