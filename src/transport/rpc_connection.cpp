#include "transport/rpc_connection.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

#include <asio.hpp>

#include "common/cancellation.hpp"
#include "transport/rpc_stream.hpp"

namespace podlab::rpc {
namespace {

constexpr std::size_t kBatch = 64 << 10;      // frames gathered for one write
constexpr std::size_t kMaxOutput = 1 << 20;   // beyond it the peer is not read: it floods
constexpr std::size_t kKeptBuffer = 4 << 10;  // larger ones are freed when idle
constexpr std::size_t kMessageOverhead = 64;  // a queued message's list node and string
constexpr std::size_t kMaxWindow = 1U << 30;
constexpr Duration kFlushTimeout = std::chrono::seconds(1);

Status broken(std::string why) {
  return Status(Code::kBadRequest, std::move(why));
}

}  // namespace

MutableBytes InputBuffer::space() {
  if (begin_ > 0) {
    std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == capacity_) wanted_ = std::max(wanted_, 2 * capacity_);
  if (wanted_ > capacity_ || (wanted_ < capacity_ && end_ == 0)) resize(wanted_);
  return {bytes_.get() + end_, capacity_ - end_};
}

void InputBuffer::resize(std::size_t capacity) {
  auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
  if (end_ > 0) std::memcpy(larger.get(), bytes_.get(), end_);
  bytes_ = std::move(larger);
  capacity_ = capacity;
}

void InputBuffer::added(std::size_t n) {
  end_ += n;
  if (end_ == capacity_) {
    wanted_ = std::min(4 * capacity_, kLarge);
  } else if (n < capacity_ / 8) {
    wanted_ = kSmall;
  }
}

std::string_view InputBuffer::view() const {
  return {reinterpret_cast<const char*>(bytes_.get()) + begin_, end_ - begin_};
}

void InputBuffer::consume(std::size_t n) {
  begin_ += n;
}

ConnectionImpl::ConnectionImpl(asio::any_io_executor executor, Clock& clock,
                               std::unique_ptr<ByteStream> stream, bool isServer, Handler handler,
                               ConnectionOptions options)
    : executor_(std::move(executor)),
      clock_(clock),
      stream_(std::move(stream)),
      handler_(std::move(handler)),
      options_(options),
      peer_(stream_->peer()),
      identity_(stream_->peerIdentity()),
      nextId_(isServer ? 2 : 1),
      started_(clock.now()),
      lastReceived_(started_) {
  options_.window = std::clamp<std::size_t>(options_.window, 1 << 10, kMaxWindow);
  options_.maxMessage = std::min(options_.maxMessage, kMaxWindow);
  options_.maxBuffered = std::max(options_.maxBuffered, options_.maxMessage);
}

void ConnectionImpl::start() {
  appendHello(output_, {static_cast<std::uint32_t>(options_.window),
                        static_cast<std::uint32_t>(options_.maxMessage)});
  auto self = shared_from_this();
  auto done = [self](const std::exception_ptr& error) {
    --self->loops_;
    // The loops only throw when they or what they wait for are torn down.
    if (error) self->end(Status(Code::kInternal, "connection torn down"), false);
    self->finishIfEnded();
  };
  asio::co_spawn(executor_, readLoop(self), done);
  asio::co_spawn(executor_, writeLoop(self), done);
  scheduleTick(started_ + options_.keepAlive);
}

Co<Result<std::unique_ptr<Stream>>> ConnectionImpl::open(std::string method) {
  auto self = shared_from_this();
  if (method.empty() || method.size() > kMaxMethod) {
    co_return Status(Code::kBadRequest, "method \"" + method + "\": must have 1 to " +
                                            std::to_string(kMaxMethod) + " bytes");
  }
  while (!greeted_ && !ending_) co_await greeting_.wait();
  if (ending_) co_return lost();
  auto state = makeState(nextId_, std::move(method));
  nextId_ += 2;
  sendFrame(FrameType::kOpen, 0, state->id, state->method);
  co_return std::unique_ptr<Stream>(std::make_unique<StreamImpl>(self, std::move(state)));
}

Co<Status> ConnectionImpl::closed() {
  auto self = shared_from_this();
  while (!ended_) co_await endedQueue_.wait();
  co_return reason_;
}

void ConnectionImpl::close() {
  end(Status(Code::kCanceled, "closed by this side"), true, LogLevel::kDebug);
}

Co<void> ConnectionImpl::readLoop(std::shared_ptr<ConnectionImpl> self) {
  auto& c = *self;
  while (!c.ending_) {
    auto got = co_await c.stream_->read(c.input_.space());
    if (c.ending_) break;
    if (!got) {
      bool hungUp = got.status().is(Code::kEndOfStream);
      c.end(hungUp ? Status(Code::kUnavailable, "the peer hung up") : got.status(), false);
      break;
    }
    c.lastReceived_ = c.clock_.now();
    c.unanswered_ = 0;
    c.input_.added(*got);
    Status status = c.consume();
    if (!status) {
      c.end(status.withContext("protocol broken"), true, LogLevel::kWarning);
      break;
    }
    while (c.output_.size() > kMaxOutput && !c.ending_) co_await c.drained_.wait();
  }
}

Co<void> ConnectionImpl::writeLoop(std::shared_ptr<ConnectionImpl> self) {
  auto& c = *self;
  std::string batch;
  while (true) {
    c.fillOutput();
    if (c.output_.empty()) {
      if (c.ending_) break;
      if (batch.capacity() > kKeptBuffer) std::string().swap(batch);
      if (c.output_.capacity() > kKeptBuffer) std::string().swap(c.output_);
      c.writerIdle_ = true;
      co_await c.writable_.wait();
      continue;
    }
    batch.clear();
    batch.swap(c.output_);
    c.writingSince_ = c.clock_.now();
    Status status = co_await c.stream_->write(std::as_bytes(std::span(batch)));
    c.writingSince_.reset();
    c.drained_.notifyAll();
    if (!status) {
      c.end(status, false);
      break;
    }
  }
  c.stream_->close();
}

Co<void> ConnectionImpl::serve(std::shared_ptr<ConnectionImpl> self,
                               std::unique_ptr<Stream> stream) {
  Status status(Code::kMethodNotAllowed, "this side serves no methods");
  try {
    if (self->handler_) status = co_await self->handler_(*self, *stream);
  } catch (const std::exception& error) {
    const bool cancelled = isCancellation(std::current_exception());
    status = Status(cancelled ? Code::kCanceled : Code::kInternal, error.what());
  }
  if (status.is(Code::kInternal)) {
    logError("rpc_handler_failed",
             {{"peer", self->peer_}, {"method", stream->method()}, {"error", status.message()}});
  }
  stream->finish(std::move(status));
}

Status ConnectionImpl::consume() {
  std::string_view view = input_.view();
  if (!greeted_) {
    // Another protocol's client is recognised by its first bytes, not when 16 have come.
    std::size_t known = std::min(view.size(), kMagic.size());
    if (view.substr(0, known) != kMagic.substr(0, known)) return parseHello(view).status();
    if (view.size() < kHelloSize) return Status();
    auto hello = parseHello(view);
    if (!hello) return hello.status();
    hello_ = *hello;
    greeted_ = true;
    greeting_.notifyAll();
    input_.consume(kHelloSize);
  }
  while (!ending_) {
    view = input_.view();
    if (view.size() < kHeaderSize) break;
    auto header = parseHeader(view);
    if (!header) return header.status();
    std::size_t size = kHeaderSize + header->length;
    if (view.size() < size) break;
    Status status = onFrame(*header, view.substr(kHeaderSize, header->length));
    if (!status) return status;
    input_.consume(size);
  }
  return Status();
}

Status ConnectionImpl::onFrame(const FrameHeader& header, std::string_view payload) {
  if (header.type == FrameType::kPing) {
    if (payload.size() != 8) return broken("PING frame of the wrong size");
    if (header.flags != kAnswer) sendFrame(FrameType::kPing, kAnswer, 0, payload);
    return Status();
  }
  if (header.type == FrameType::kClose) {
    Status why = decodeStatus(payload);
    std::string text = "closed by the peer";
    if (!why) text += ": " + why.message();
    end(Status(Code::kUnavailable, std::move(text)), false, LogLevel::kDebug);
    return Status();
  }
  if (header.type == FrameType::kOpen) return onOpen(header.stream, payload);
  auto it = streams_.find(header.stream);
  if (it == streams_.end()) {
    // What was on its way when the stream ended.
    if (used(header.stream)) return Status();
    return broken("frame for stream " + std::to_string(header.stream) + ", which was never opened");
  }
  StatePtr state = it->second;
  switch (header.type) {
    case FrameType::kData:
      return onData(state, header.flags, payload);
    case FrameType::kFinish:
      return onFinish(*state, payload);
    case FrameType::kWindow:
      return onWindow(state, payload);
    default:
      onReset(*state, payload);
      return Status();
  }
}

Status ConnectionImpl::onOpen(std::uint64_t id, std::string_view method) {
  bool ours = id % 2 == nextId_ % 2;
  if (ours || id == 0 || id <= lastPeerId_) {
    return broken("stream number " + std::to_string(id) + " is not the peer's next");
  }
  if (method.empty() || method.size() > kMaxMethod) {
    return broken("method name of " + std::to_string(method.size()) + " bytes");
  }
  lastPeerId_ = id;
  if (serving_.size() >= options_.maxStreams) {
    Status status(Code::kTooManyRequests,
                  "more than " + std::to_string(options_.maxStreams) + " streams at one time");
    sendFrame(FrameType::kReset, 0, id, encodeStatus(status));
    return Status();
  }
  auto state = makeState(id, std::string(method));
  serving_.emplace(id, state);
  auto self = shared_from_this();
  auto done = [self, id](const std::exception_ptr&) {
    self->serving_.erase(id);
    self->finishIfEnded();
  };
  auto bound = asio::bind_cancellation_slot(state->cancelHandler.slot(), done);
  asio::co_spawn(executor_, serve(self, std::make_unique<StreamImpl>(self, state)), bound);
  return Status();
}

Status ConnectionImpl::onData(const StatePtr& state, std::uint8_t flags, std::string_view payload) {
  if (state->remoteEnd) return broken("data after the end of the stream");
  std::size_t cost = kHeaderSize + payload.size();
  if (cost > state->receiveWindow) return broken("more data than the stream's window allows");
  state->receiveWindow -= cost;
  if (state->partial.size() + payload.size() > options_.maxMessage) {
    reset(*state, Status(Code::kTooLarge,
                         "message of more than " + std::to_string(options_.maxMessage) + " bytes"));
    return Status();
  }
  state->partial += payload;
  state->partialCost += cost;
  std::size_t held = payload.size();
  if ((flags & kEndOfMessage) != 0) {
    held += kMessageOverhead;
    state->inbox.push_back({std::exchange(state->partial, {}), state->partialCost});
    state->partialCost = 0;
    state->readable.notifyOne();
  } else if (state->reading && state->inbox.empty()) {
    creditPartial(*state);
  }
  state->held += held;
  buffered_ += held;
  if (buffered_ > options_.maxBuffered) resetGreediest();
  return Status();
}

Status ConnectionImpl::onFinish(StreamState& state, std::string_view payload) {
  if (state.remoteEnd) return broken("second end of a stream");
  Status status = decodeStatus(payload);
  if (status.ok() && state.partialCost + state.partial.size() > 0) {
    return broken("stream ends in the middle of a message");
  }
  state.remoteEnd = std::move(status);
  state.readable.notifyOne();
  retireIfEnded(state);
  return Status();
}

void ConnectionImpl::onReset(StreamState& state, std::string_view payload) {
  Status status = decodeStatus(payload);
  if (status.ok()) status = Status(Code::kCanceled, "stream reset by the peer");
  auto self = streams_.extract(state.id);
  endStream(state, status);
  state.cancelHandler.emit(asio::cancellation_type::terminal);
}

Status ConnectionImpl::onWindow(const StatePtr& state, std::string_view payload) {
  if (payload.size() != 4) return broken("WINDOW frame of the wrong size");
  state->sendWindow += parseCredit(payload);
  if (state->sendWindow > UINT32_MAX) return broken("window over its limit");
  enqueue(state);
  return Status();
}

bool ConnectionImpl::used(std::uint64_t id) const {
  if (id == 0) return false;
  return id % 2 == nextId_ % 2 ? id < nextId_ : id <= lastPeerId_;
}

ConnectionImpl::StatePtr ConnectionImpl::makeState(std::uint64_t id, std::string method) {
  auto state = std::make_shared<StreamState>();
  state->id = id;
  state->method = std::move(method);
  state->receiveWindow = options_.window;
  state->sendWindow = hello_.window;
  streams_.emplace(id, state);
  return state;
}

void ConnectionImpl::sendFrame(FrameType type, std::uint8_t flags, std::uint64_t stream,
                               std::string_view payload) {
  if (ending_) return;
  appendFrame(output_, type, flags, stream, payload);
  wakeWriter();
}

void ConnectionImpl::wakeWriter() {
  if (!writerIdle_) return;
  writerIdle_ = false;
  writable_.notifyOne();
}

void ConnectionImpl::fillOutput() {
  while (!ready_.empty() && output_.size() < kBatch) {
    StatePtr state = std::move(ready_.front());
    ready_.pop_front();
    state->queued = false;
    if (!state->sending || state->localEnd) continue;
    sendChunk(*state);
    enqueue(state);
  }
}

void ConnectionImpl::sendChunk(StreamState& state) {
  std::size_t left = state.outgoing.size() - state.sent;
  std::size_t size = std::min({left, kChunk, state.sendWindow - kHeaderSize});
  std::uint8_t flags = size == left ? kEndOfMessage : 0;
  appendFrame(output_, FrameType::kData, flags, state.id,
              std::string_view(state.outgoing).substr(state.sent, size));
  state.sendWindow -= kHeaderSize + size;
  state.sent += size;
  if (size < left) return;
  std::string().swap(state.outgoing);
  state.sending = false;
  state.writable.notifyOne();
  if (state.finishAfterSend) finish(state, Status());
}

bool ConnectionImpl::trySend(StreamState& state, std::string_view message) {
  std::size_t cost = kHeaderSize + message.size();
  if (!ready_.empty() || message.size() > kChunk || cost > state.sendWindow ||
      output_.size() >= kBatch) {
    return false;
  }
  state.sendWindow -= cost;
  sendFrame(FrameType::kData, kEndOfMessage, state.id, message);
  return true;
}

void ConnectionImpl::enqueue(const StatePtr& state) {
  if (ending_ || !state->sending || state->queued || state->sendWindow <= kHeaderSize) return;
  state->queued = true;
  ready_.push_back(state);
  wakeWriter();
}

std::size_t ConnectionImpl::sendLimit() const {
  return std::min<std::size_t>(options_.maxMessage, hello_.maxMessage);
}

void ConnectionImpl::finish(StreamState& state, const Status& status) {
  if (state.localEnd) return;
  bool clean = status.ok() || status.is(Code::kEndOfStream);
  if (state.sending && clean) {
    state.finishAfterSend = true;
    return;
  }
  sendFrame(FrameType::kFinish, 0, state.id, clean ? std::string() : encodeStatus(status));
  state.localEnd = Status(Code::kCanceled, "this side has finished the stream");
  state.writable.notifyOne();
  retireIfEnded(state);
}

void ConnectionImpl::reset(StreamState& state, const Status& status) {
  auto held = streams_.extract(state.id);
  if (held.empty()) return;
  sendFrame(FrameType::kReset, 0, state.id, encodeStatus(status));
  endStream(state, status);
}

void ConnectionImpl::endStream(StreamState& state, const Status& status) {
  if (!state.remoteEnd) state.remoteEnd = status;
  if (!state.localEnd) state.localEnd = status;
  buffered_ -= state.partial.size();
  state.held -= state.partial.size();
  std::string().swap(state.partial);
  std::string().swap(state.outgoing);
  state.readable.notifyOne();
  state.writable.notifyOne();
}

void ConnectionImpl::retireIfEnded(StreamState& state) {
  if (state.localEnd && state.remoteEnd) streams_.erase(state.id);
}

std::string ConnectionImpl::take(StreamState& state) {
  StreamState::Message message = std::move(state.inbox.front());
  state.inbox.pop_front();
  std::size_t held = message.data.size() + kMessageOverhead;
  state.held -= held;
  buffered_ -= held;
  earn(state, message.cost);
  return std::move(message.data);
}

void ConnectionImpl::creditPartial(StreamState& state) {
  earn(state, std::exchange(state.partialCost, 0));
}

void ConnectionImpl::earn(StreamState& state, std::size_t credit) {
  state.earned += credit;
  if (state.remoteEnd || ending_ || state.earned < options_.window / 2) return;
  appendWindow(output_, state.id, static_cast<std::uint32_t>(state.earned));
  state.receiveWindow += std::exchange(state.earned, 0);
  wakeWriter();
}

void ConnectionImpl::discardInbox(StreamState& state) {
  buffered_ -= std::exchange(state.held, 0);
  state.inbox.clear();
  std::string().swap(state.partial);
}

void ConnectionImpl::resetGreediest() {
  StatePtr greediest;
  for (const auto& [id, state] : streams_) {
    if (!greediest || state->held > greediest->held ||
        (state->held == greediest->held && id > greediest->id)) {
      greediest = state;
    }
  }
  if (!greediest) return;
  logWarning("rpc_stream_reset", {{"peer", peer_},
                                  {"method", greediest->method},
                                  {"unread_bytes", greediest->held},
                                  {"connection_unread_bytes", buffered_}});
  reset(*greediest, Status(Code::kExhausted, "too many bytes wait to be read on this connection"));
  discardInbox(*greediest);
}

void ConnectionImpl::scheduleTick(MonoTime at) {
  std::weak_ptr<ConnectionImpl> weak = weak_from_this();
  timer_ = clock_.schedule(at, [weak] {
    if (auto self = weak.lock()) self->tick();
  });
}

void ConnectionImpl::tick() {
  MonoTime now = clock_.now();
  Duration patience = 2 * options_.keepAlive;
  if (writingSince_ && now - *writingSince_ >= patience) {
    end(Status(Code::kUnavailable, "the peer has read nothing for " + formatDuration(patience)),
        false);
  } else if (!greeted_ && now - started_ >= patience) {
    end(Status(Code::kUnavailable, "no greeting within " + formatDuration(patience)), false);
  } else if (now < lastReceived_ + options_.keepAlive) {
    scheduleTick(lastReceived_ + options_.keepAlive);
  } else if (unanswered_ == 2) {
    end(Status(Code::kUnavailable,
               "silent for " + formatDuration(now - lastReceived_) + ", two pings unanswered"),
        false);
  } else {
    ++unanswered_;
    sendFrame(FrameType::kPing, 0, 0, std::string(8, '\0'));
    scheduleTick(now + options_.keepAlive);
  }
}

void ConnectionImpl::end(Status reason, bool tellPeer, LogLevel level) {
  if (ending_) return;
  if (tellPeer) {
    Status why = reason.is(Code::kCanceled) ? Status() : reason;
    sendFrame(FrameType::kClose, 0, 0, encodeStatus(why));
  }
  ending_ = true;
  reason_ = std::move(reason);
  log(level, "rpc_connection_ended", {{"peer", peer_}, {"reason", reason_.message()}});
  clock_.cancel(timer_);
  ready_.clear();
  auto streams = std::exchange(streams_, {});
  for (const auto& [id, state] : streams) endStream(*state, lost());
  std::vector<StatePtr> handlers;
  handlers.reserve(serving_.size());
  for (const auto& [id, state] : serving_) handlers.push_back(state);
  for (const auto& state : handlers) {
    state->cancelHandler.emit(asio::cancellation_type::terminal);
  }
  greeting_.notifyAll();
  drained_.notifyAll();
  if (!tellPeer) {
    stream_->close();
  } else {
    std::weak_ptr<ConnectionImpl> weak = weak_from_this();
    timer_ = clock_.scheduleIn(kFlushTimeout, [weak] {
      if (auto self = weak.lock()) self->stream_->close();
    });
  }
  wakeWriter();
}

void ConnectionImpl::finishIfEnded() {
  if (ended_ || loops_ > 0 || !serving_.empty()) return;
  ended_ = true;
  clock_.cancel(timer_);
  // It may own what owns this connection.
  handler_ = nullptr;
  endedQueue_.notifyAll();
}

Status ConnectionImpl::lost() const {
  return Status(Code::kUnavailable, "connection to " + peer_ + ": " + reason_.message());
}

}  // namespace podlab::rpc
