#include "transport/websocket.hpp"

#include <openssl/evp.h>

#include <array>

namespace podlab::http {
namespace {

constexpr std::uint16_t kProtocolError = 1002;
constexpr std::uint16_t kTooLarge = 1009;
constexpr std::size_t kMaxControl = 125;
constexpr std::size_t kKeyLength = 24;  // 16 bytes in base64
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

bool isControl(unsigned opcode) {
  return (opcode & 8U) != 0;
}

std::uint64_t readNumber(std::string_view bytes) {
  std::uint64_t number = 0;
  for (const char byte : bytes) number = number << 8U | static_cast<unsigned char>(byte);
  return number;
}

void appendNumber(std::string& out, std::uint64_t number, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(number >> (8 * i)));
}

}  // namespace

std::vector<WebSocketReader::Message> WebSocketReader::feed(std::string_view bytes) {
  std::vector<Message> messages;
  buffer_.append(bytes);
  while (!fault_ && takeFrame(messages)) {
  }
  return messages;
}

/// One frame off the buffer; false when it is not whole, or wrong.
bool WebSocketReader::takeFrame(std::vector<Message>& messages) {
  if (buffer_.size() < 2) return false;
  const auto first = static_cast<unsigned char>(buffer_[0]);
  const auto second = static_cast<unsigned char>(buffer_[1]);
  const unsigned opcode = first & 0x0fU;
  const bool final = (first & 0x80U) != 0;
  const bool known = opcode <= 2 || (opcode >= 8 && opcode <= 10);
  const bool masked = (second & 0x80U) != 0;
  const std::uint64_t shortLength = second & 0x7fU;
  const bool fits = !isControl(opcode) || (final && shortLength <= kMaxControl);
  // A message begins with its kind, and goes on without.
  const bool inOrder = isControl(opcode) || (opcode == 0) == partial_.has_value();
  if ((first & 0x70U) != 0 || !known || !masked || !fits || !inOrder) {
    fault_ = kProtocolError;
    return false;
  }
  const std::size_t extra = shortLength == 126 ? 2 : shortLength == 127 ? 8 : 0;
  const std::size_t head = 2 + extra + 4;
  if (buffer_.size() < head) return false;
  const std::uint64_t length =
      extra == 0 ? shortLength : readNumber(std::string_view(buffer_).substr(2, extra));
  const std::size_t before = partial_ && !isControl(opcode) ? partial_->payload.size() : 0;
  if (length > kMaxMessage || before + length > kMaxMessage) {
    fault_ = kTooLarge;
    return false;
  }
  if (buffer_.size() < head + length) return false;
  std::string payload = buffer_.substr(head, length);
  for (std::size_t i = 0; i < payload.size(); ++i)
    payload[i] = static_cast<char>(payload[i] ^ buffer_[head - 4 + i % 4]);
  buffer_.erase(0, head + length);
  if (isControl(opcode)) {
    messages.push_back({static_cast<Kind>(opcode), std::move(payload)});
    return true;
  }
  if (!partial_) partial_ = Message{static_cast<Kind>(opcode), ""};
  partial_->payload += payload;
  if (final) {
    messages.push_back(std::move(*partial_));
    partial_.reset();
  }
  return true;
}

std::string webSocketFrame(WebSocketReader::Kind kind, std::string_view payload) {
  std::string frame(1, static_cast<char>(0x80U | static_cast<unsigned>(kind)));
  if (payload.size() <= kMaxControl) {
    frame.push_back(static_cast<char>(payload.size()));
  } else if (payload.size() <= 0xffff) {
    frame.push_back(126);
    appendNumber(frame, payload.size(), 2);
  } else {
    frame.push_back(127);
    appendNumber(frame, payload.size(), 8);
  }
  return frame.append(payload);
}

std::string webSocketClose(std::uint16_t code) {
  std::string payload;
  appendNumber(payload, code, 2);
  return webSocketFrame(WebSocketReader::Kind::kClose, payload);
}

bool wantsWebSocket(const Request& request) {
  const std::string* key = request.header("sec-websocket-key");
  const std::string* version = request.header("sec-websocket-version");
  return request.method == "GET" && request.headerHas("connection", "upgrade") &&
         request.headerHas("upgrade", "websocket") && version != nullptr && *version == "13" &&
         key != nullptr && key->size() == kKeyLength;
}

std::string webSocketAccept(std::string_view key) {
  const std::string text = std::string(key).append(kGuid);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  std::array<unsigned char, 2UL * EVP_MAX_MD_SIZE> encoded{};
  const int length = EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(size));
  return {reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(length)};
}

}  // namespace podlab::http
