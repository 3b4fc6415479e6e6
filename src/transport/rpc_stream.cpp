#include "transport/rpc_stream.hpp"

#include <utility>

#include "transport/rpc_connection.hpp"

namespace podlab::rpc {
namespace {

/// A message whose send() was cancelled may have left in part, so the stream cannot go on.
struct ResetUnlessSent {
  std::shared_ptr<ConnectionImpl> connection;
  std::shared_ptr<StreamState> state;
  ~ResetUnlessSent() {
    if (state->sending) connection->reset(*state, Status(Code::kCanceled, "send was cancelled"));
  }
};

struct Reading {
  std::shared_ptr<StreamState> state;
  ~Reading() { state->reading = false; }
};

}  // namespace

StreamImpl::StreamImpl(std::shared_ptr<ConnectionImpl> connection,
                       std::shared_ptr<StreamState> state)
    : connection_(std::move(connection)), state_(std::move(state)) {}

StreamImpl::~StreamImpl() {
  connection_->reset(*state_, Status(Code::kCanceled, "stream abandoned by the peer"));
  connection_->discardInbox(*state_);
}

const std::string& StreamImpl::method() const {
  return state_->method;
}

Co<Status> StreamImpl::send(std::string message) {
  if (message.size() > connection_->sendLimit()) {
    co_return Status(Code::kTooLarge, "message of " + std::to_string(message.size()) +
                                          " bytes; the limit is " +
                                          std::to_string(connection_->sendLimit()));
  }
  if (auto end = state_->localEnd) co_return *end;
  if (connection_->trySend(*state_, message)) co_return Status();
  ResetUnlessSent guard{connection_, state_};
  StreamState& state = *state_;
  state.outgoing = std::move(message);
  state.sent = 0;
  state.sending = true;
  connection_->enqueue(state_);
  while (state.sending && !state.localEnd) co_await state.writable.wait();
  bool left = !std::exchange(state.sending, false);
  co_return left ? Status() : state.localEnd.value_or(Status());
}

Co<Result<std::string>> StreamImpl::receive() {
  Reading guard{state_};
  StreamState& state = *state_;
  while (state.inbox.empty()) {
    if (state.remoteEnd && state.remoteEnd->ok()) {
      co_return Status(Code::kEndOfStream, "end of stream");
    }
    if (state.remoteEnd) co_return *state.remoteEnd;
    state.reading = true;
    connection_->creditPartial(state);
    co_await state.readable.wait();
  }
  co_return connection_->take(state);
}

void StreamImpl::finish(Status status) {
  connection_->finish(*state_, status);
}

}  // namespace podlab::rpc
