#pragma once
#include <deque>
#include <string>

#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/status.hpp"
#include "common/sync.hpp"
#include "transport/byte_stream.hpp"
#include "transport/http_server.hpp"
#include "transport/websocket.hpp"

namespace podlab::http {

/// Answers a request that wants to become a WebSocket. Null when the client has gone.
Co<ByteStream*> acceptWebSocket(Exchange& exchange, std::string protocol);

/// The server's side of a WebSocket. One receive() at a time; sends may overlap.
class WebSocketConnection {
 public:
  /// `stream` must outlive it.
  explicit WebSocketConnection(ByteStream& stream) : stream_(stream) {}

  /// The next message of text or bytes; kEndOfStream when the client has closed or gone. Pings are
  /// answered, and so are breaches of the protocol.
  Co<Result<WebSocketReader::Message>> receive();
  /// One message after the other.
  Co<Status> send(WebSocketReader::Kind kind, std::string_view payload);
  Co<Status> close(std::uint16_t code);
  /// Asks the client again and again whether it is there, until a write fails. While nothing is
  /// read of the client, only this tells that it has gone.
  Co<void> pingUntilGone(Clock& clock);

 private:
  Co<Status> write(std::string frame);

  ByteStream& stream_;
  WebSocketReader reader_;
  std::deque<WebSocketReader::Message> messages_;
  bool writing_ = false;
  WaitQueue written_;
};

/// The bytes of the messages of a WebSocket, however they are cut.
class WebSocketBytes final : public ByteStream {
 public:
  WebSocketBytes(WebSocketConnection& socket, std::string peer)
      : socket_(socket), peer_(std::move(peer)) {}
  Co<Result<std::size_t>> read(MutableBytes out) override;
  Co<Status> write(Bytes data) override;
  void close() override {}  ///< a WebSocket is closed by a message
  std::string peer() const override { return peer_; }

 private:
  WebSocketConnection& socket_;
  std::string peer_;
  std::string received_;
  std::size_t offset_ = 0;
};

}  // namespace podlab::http
