#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transport/http_request.hpp"

namespace podlab::http {

/// The server's side of the WebSocket protocol (RFC 6455), without I/O.
class WebSocketReader {
 public:
  enum class Kind : std::uint8_t { kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };
  struct Message {
    Kind kind = Kind::kBinary;
    std::string payload;  ///< of a close: two bytes of code and the reason, or nothing
  };
  static constexpr std::size_t kMaxMessage = 4UL << 20;

  /// Takes all bytes; the messages that are whole by them, fragments put together.
  std::vector<Message> feed(std::string_view bytes);
  /// The close code with which the connection fails: 1002 for a breach of the protocol, 1009 for a
  /// message that is too large. Nothing is read any more.
  std::optional<std::uint16_t> fault() const { return fault_; }

 private:
  bool takeFrame(std::vector<Message>& messages);

  std::string buffer_;
  std::optional<Message> partial_;
  std::optional<std::uint16_t> fault_;
};

/// A whole message as one frame.
std::string webSocketFrame(WebSocketReader::Kind kind, std::string_view payload);
std::string webSocketClose(std::uint16_t code);

/// Whether the request asks to become a WebSocket of version 13 with a key that is one.
bool wantsWebSocket(const Request& request);
/// The value of Sec-WebSocket-Accept.
std::string webSocketAccept(std::string_view key);

}  // namespace podlab::http
