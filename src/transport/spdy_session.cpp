#include "transport/spdy_session.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "common/log.hpp"

namespace podlab::spdy {
namespace {

constexpr std::size_t kPiece = 32UL << 10;
/// Bytes that may wait to be written before writers, and the reader, wait.
constexpr std::size_t kMaxOut = 128UL << 10;
constexpr std::uint32_t kIdMask = 0x7fffffffU;

const Status kGone(Code::kUnavailable, "the client has gone");

}  // namespace

bool wantsSpdy(const http::Request& request) {
  return request.headerHas("connection", "upgrade") && request.headerHas("upgrade", "spdy/3.1");
}

Co<ByteStream*> acceptSpdy(http::Exchange& exchange, std::string protocol) {
  http::Headers headers{{"Upgrade", "SPDY/3.1"},
                        {"Connection", "Upgrade"},
                        {"X-Stream-Protocol-Version", std::move(protocol)}};
  co_return co_await exchange.upgrade(std::move(headers));
}

struct Session::Entry {
  std::uint32_t id = 0;
  Headers headers;
  std::string in;
  std::size_t offset = 0;  ///< bytes of `in` that were read
  bool inEnded = false;    ///< the client sends no more
  bool outEnded = false;   ///< nothing more is sent
  bool reset = false;
  bool dropped = false;  ///< nobody reads
  WaitQueue changed;

  std::size_t size() const { return in.size() - offset; }
};

class Session::StreamImpl final : public Stream {
 public:
  StreamImpl(std::shared_ptr<Session*> session, std::shared_ptr<Entry> entry)
      : session_(std::move(session)), entry_(std::move(entry)) {}
  ~StreamImpl() override { StreamImpl::close(); }

  std::string header(std::string_view name) const override {
    const auto found = std::ranges::find(entry_->headers, name, &Headers::value_type::first);
    return found == entry_->headers.end() ? "" : found->second;
  }

  bool isReset() const override { return entry_->reset; }

  Co<Result<std::size_t>> read(MutableBytes out) override {
    auto entry = entry_;
    while (entry->size() == 0 && !entry->inEnded && !entry->reset && !entry->dropped)
      co_await entry->changed.wait();
    if (entry->dropped) co_return Status(Code::kCanceled, "closed by this side");
    if (entry->reset) co_return kGone;
    if (entry->size() == 0) co_return Status(Code::kEndOfStream, "the stream has ended");
    const std::size_t count = std::min(out.size(), entry->size());
    std::memcpy(out.data(), entry->in.data() + entry->offset, count);
    entry->offset += count;
    if (entry->size() == 0) {
      entry->in.clear();
      entry->offset = 0;
    }
    entry->changed.notifyAll();
    co_return count;
  }

  Co<Status> write(Bytes data) override {
    auto session = session_;
    auto entry = entry_;
    std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
    while (!text.empty()) {
      if (*session != nullptr) co_await (*session)->room();
      if (*session == nullptr || (*session)->ended_ || entry->reset) co_return kGone;
      if (entry->outEnded) co_return Status(Code::kCanceled, "closed by this side");
      (*session)->push(dataFrame(entry->id, text.substr(0, kPiece)));
      text.remove_prefix(std::min(kPiece, text.size()));
    }
    co_return Status();
  }

  bool finishWriting() override {
    if (entry_->outEnded) return true;
    entry_->outEnded = true;
    if (*session_ != nullptr && !entry_->reset) {
      (*session_)->push(dataFrame(entry_->id, "", true));
      (*session_)->forgetWhenDone(entry_);
    }
    return true;
  }

  void close() override {
    StreamImpl::finishWriting();
    entry_->dropped = true;
    entry_->in = {};
    entry_->offset = 0;
    entry_->changed.notifyAll();
  }

  std::string peer() const override {
    return *session_ != nullptr ? (*session_)->connection_.peer() : "gone";
  }

 private:
  std::shared_ptr<Session*> session_;
  std::shared_ptr<Entry> entry_;
};

Session::Session(asio::any_io_executor executor, ByteStream& connection, Clock& clock,
                 SessionOptions options)
    : connection_(connection),
      clock_(clock),
      options_(options),
      self_(std::make_shared<Session*>(this)),
      tasks_(std::move(executor)) {
  tasks_.spawn("spdy_read", readAll());
  tasks_.spawn("spdy_write", writeAll());
  tasks_.spawn("spdy_ping", ping());
}

Session::~Session() {
  *self_ = nullptr;
}

Co<Result<std::unique_ptr<Stream>>> Session::accept() {
  auto stream = co_await opened_.pop();
  if (!stream) co_return Status(Code::kEndOfStream, "the client opens no more streams");
  co_return std::move(*stream);
}

Co<bool> Session::waitUntilEnded(MonoTime deadline) {
  while (!ended_ && co_await finished_.waitUntil(clock_, deadline)) {
  }
  co_return ended_;
}

Co<void> Session::waitUntilEnded() {
  while (!ended_) co_await finished_.wait();
}

Co<void> Session::flush() {
  while (!ended_ && (writing_ || !out_.empty())) co_await outChanged_.wait();
}

Co<void> Session::stop() {
  end("");
  co_await tasks_.cancelAndJoin();
}

Co<void> Session::readAll() {
  std::array<std::byte, 16UL << 10> buffer;
  while (!ended_) {
    auto count = co_await connection_.read(buffer);
    if (!count) break;
    std::string_view bytes(reinterpret_cast<const char*>(buffer.data()), *count);
    while (auto frame = frames_.next(bytes)) {
      if (frame->type) {
        // A client that asks and does not listen is asked no more.
        co_await room();
        takeControl(*frame);
      } else {
        co_await takeData(std::move(*frame));
      }
      if (ended_) co_return;
    }
    if (!frames_.fault().empty()) co_return end(frames_.fault());
  }
  end("");
}

Co<void> Session::writeAll() {
  while (!ended_) {
    if (out_.empty()) {
      co_await outChanged_.wait();
      continue;
    }
    const std::string piece = std::exchange(out_, "");
    writing_ = true;
    const Status written = co_await connection_.write(std::as_bytes(std::span(piece)));
    writing_ = false;
    outChanged_.notifyAll();
    if (!written) end("");
  }
}

Co<void> Session::ping() {
  for (std::uint32_t id = 2; !ended_; id += 2) {
    co_await clock_.sleepFor(options_.ping);
    co_await room();
    push(controlFrame(Type::kPing, number32(id & kIdMask)));
  }
}

Co<void> Session::takeData(Frame frame) {
  const auto found = streams_.find(frame.stream);
  if (found == streams_.end() || found->second->inEnded) {
    // What a client sent before it heard of the end is no error.
    if (frame.stream > lastStream_ || frame.stream % 2 == 0) end("data of a stream never opened");
    co_return;
  }
  auto entry = found->second;
  while (entry->size() >= options_.buffer && !entry->dropped && !ended_)
    co_await entry->changed.wait();
  if (!entry->dropped) {
    if (entry->offset > 0) entry->in.erase(0, std::exchange(entry->offset, 0));
    entry->in += frame.payload;
  }
  entry->inEnded = frame.fin;
  entry->changed.notifyAll();
  forgetWhenDone(entry);
}

void Session::takeControl(const Frame& frame) {
  const std::string& payload = frame.payload;
  switch (*frame.type) {
    case Type::kSynStream:
      return open(payload, frame.fin);
    case Type::kSynReply:
    case Type::kHeaders:
      // Nothing of them is of use, but they are part of the compressed stream.
      if (payload.size() < 4 || !headers_.read(std::string_view(payload).substr(4)))
        end("malformed headers");
      return;
    case Type::kRstStream: {
      if (payload.size() != 8) return end("malformed RST_STREAM");
      const auto found = streams_.find(readNumber32(payload) & kIdMask);
      if (found == streams_.end()) return;
      found->second->reset = true;
      found->second->changed.notifyAll();
      streams_.erase(found);
      return;
    }
    case Type::kPing:
      if (payload.size() != 4) return end("malformed PING");
      // Those of even numbers are answers.
      if (readNumber32(payload) % 2 == 1) push(controlFrame(Type::kPing, payload));
      return;
    case Type::kGoAway:
      return end("");
    default:
      return;
  }
}

void Session::open(const std::string& payload, bool fin) {
  constexpr std::size_t kFixed = 10;
  if (payload.size() < kFixed) return end("malformed SYN_STREAM");
  auto headers = headers_.read(std::string_view(payload).substr(kFixed));
  if (!headers) return end("malformed headers");
  const std::uint32_t id = readNumber32(payload) & kIdMask;
  if (id % 2 == 0 || id <= lastStream_) return end("the number of a new stream is not new");
  lastStream_ = id;
  // Streams that were reset before anybody took them wait there, too.
  if (std::max(streams_.size(), opened_.size()) >= options_.maxStreams)
    return push(rstFrame(id, Reset::kRefused));
  auto entry = std::make_shared<Entry>();
  entry->id = id;
  entry->headers = std::move(*headers);
  entry->inEnded = fin;
  streams_[id] = entry;
  push(controlFrame(Type::kSynReply, number32(id) + replies_.next()));
  opened_.push(std::make_unique<StreamImpl>(self_, std::move(entry)));
}

void Session::push(std::string frame) {
  if (ended_) return;
  out_ += frame;
  outChanged_.notifyAll();
}

Co<void> Session::room() {
  while (!ended_ && out_.size() >= kMaxOut) co_await outChanged_.wait();
}

void Session::forgetWhenDone(const std::shared_ptr<Entry>& entry) {
  if (entry->inEnded && entry->outEnded) streams_.erase(entry->id);
}

void Session::end(const std::string& why) {
  if (ended_) return;
  if (!why.empty()) logInfo("spdy_fault", {{"peer", connection_.peer()}, {"why", why}});
  ended_ = true;
  out_.clear();
  for (auto& [id, entry] : streams_) {
    entry->reset = true;
    entry->changed.notifyAll();
  }
  streams_.clear();
  opened_.close();
  outChanged_.notifyAll();
  finished_.notifyAll();
}

}  // namespace podlab::spdy
