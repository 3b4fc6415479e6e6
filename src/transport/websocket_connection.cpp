#include "transport/websocket_connection.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

namespace podlab::http {
namespace {

constexpr Duration kPingPeriod = std::chrono::seconds(5);

}  // namespace

Co<ByteStream*> acceptWebSocket(Exchange& exchange, std::string protocol) {
  const std::string* key = exchange.request().header("sec-websocket-key");
  Headers headers{{"Upgrade", "websocket"},
                  {"Connection", "Upgrade"},
                  {"Sec-WebSocket-Accept", webSocketAccept(*key)},
                  {"Sec-WebSocket-Protocol", std::move(protocol)}};
  co_return co_await exchange.upgrade(std::move(headers));
}

Co<Result<WebSocketReader::Message>> WebSocketConnection::receive() {
  using Kind = WebSocketReader::Kind;
  const Status end(Code::kEndOfStream, "the client has closed the WebSocket");
  std::array<std::byte, 16UL << 10> buffer;
  while (true) {
    while (!messages_.empty()) {
      WebSocketReader::Message message = std::move(messages_.front());
      messages_.pop_front();
      if (message.kind == Kind::kClose) co_return end;
      if (message.kind == Kind::kText || message.kind == Kind::kBinary) co_return message;
      if (message.kind == Kind::kPing && !(co_await send(Kind::kPong, message.payload)))
        co_return end;
    }
    if (const auto fault = reader_.fault()) {
      (void)co_await close(*fault);
      co_return end;
    }
    auto count = co_await stream_.read(buffer);
    if (!count) co_return end;
    std::ranges::move(reader_.feed({reinterpret_cast<const char*>(buffer.data()), *count}),
                      std::back_inserter(messages_));
  }
}

Co<Status> WebSocketConnection::send(WebSocketReader::Kind kind, std::string_view payload) {
  std::string frame = webSocketFrame(kind, payload);
  co_return co_await write(std::move(frame));
}

Co<Status> WebSocketConnection::close(std::uint16_t code) {
  std::string frame = webSocketClose(code);
  co_return co_await write(std::move(frame));
}

Co<void> WebSocketConnection::pingUntilGone(Clock& clock) {
  Status reached;
  while (reached.ok()) {
    co_await clock.sleepFor(kPingPeriod);
    reached = co_await send(WebSocketReader::Kind::kPing, "");
  }
}

Co<Status> WebSocketConnection::write(std::string frame) {
  while (writing_) co_await written_.wait();
  writing_ = true;
  Status status = co_await stream_.write(std::as_bytes(std::span(frame)));
  writing_ = false;
  written_.notifyOne();
  co_return status;
}

Co<Result<std::size_t>> WebSocketBytes::read(MutableBytes out) {
  while (offset_ == received_.size()) {
    auto message = co_await socket_.receive();
    if (!message) co_return message.status();
    received_ = std::move(message->payload);
    offset_ = 0;
  }
  const std::size_t count = std::min(out.size(), received_.size() - offset_);
  std::memcpy(out.data(), received_.data() + offset_, count);
  offset_ += count;
  co_return count;
}

Co<Status> WebSocketBytes::write(Bytes data) {
  const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
  co_return co_await socket_.send(WebSocketReader::Kind::kBinary, text);
}

}  // namespace podlab::http
