#include "transport/rpc_frame.hpp"

#include <algorithm>

#include "rpc_frame.pb.h"

namespace podlab::rpc {
namespace {

constexpr std::size_t kMaxStatusMessage = 16 << 10;

template <typename T>
void appendNumber(std::string& out, T value) {
  for (int shift = 8 * (static_cast<int>(sizeof(T)) - 1); shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> shift);
  }
}

template <typename T>
T readNumber(std::string_view bytes) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value << 8 | static_cast<unsigned char>(bytes[i]));
  }
  return value;
}

}  // namespace

void appendHello(std::string& out, const Hello& hello) {
  out += kMagic;
  appendNumber(out, hello.window);
  appendNumber(out, hello.maxMessage);
}

Result<Hello> parseHello(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) {
    return Status(Code::kBadRequest, "the peer does not speak this version of podlab's RPC");
  }
  Hello hello{readNumber<std::uint32_t>(bytes.substr(8)),
              readNumber<std::uint32_t>(bytes.substr(12))};
  // A window that no frame fits into would stall every stream.
  if (hello.window <= kHeaderSize) {
    return Status(Code::kBadRequest, "the peer offers a window of " + std::to_string(hello.window) +
                                         " bytes; at least " + std::to_string(kHeaderSize + 1) +
                                         " are needed");
  }
  return hello;
}

void appendFrame(std::string& out, FrameType type, std::uint8_t flags, std::uint64_t stream,
                 std::string_view payload) {
  appendNumber(out, static_cast<std::uint32_t>(payload.size()));
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  appendNumber(out, stream);
  out += payload;
}

void appendWindow(std::string& out, std::uint64_t stream, std::uint32_t credit) {
  std::string payload;
  appendNumber(payload, credit);
  appendFrame(out, FrameType::kWindow, 0, stream, payload);
}

Result<FrameHeader> parseHeader(std::string_view bytes) {
  FrameHeader header;
  header.length = readNumber<std::uint32_t>(bytes);
  auto type = static_cast<std::uint8_t>(bytes[4]);
  header.flags = static_cast<std::uint8_t>(bytes[5]);
  header.stream = readNumber<std::uint64_t>(bytes.substr(6));
  if (type < static_cast<std::uint8_t>(FrameType::kOpen) ||
      type > static_cast<std::uint8_t>(FrameType::kClose)) {
    return Status(Code::kBadRequest, "frame of unknown type " + std::to_string(type));
  }
  if (header.length > kMaxPayload) {
    return Status(Code::kBadRequest, "frame of " + std::to_string(header.length) +
                                         " bytes; the limit is " + std::to_string(kMaxPayload));
  }
  header.type = static_cast<FrameType>(type);
  return header;
}

std::uint32_t parseCredit(std::string_view payload) {
  return readNumber<std::uint32_t>(payload);
}

std::string encodeStatus(const Status& status) {
  if (status.ok()) return {};
  StatusFrame frame;
  frame.set_code(std::string(codeName(status.code())));
  frame.set_message(status.message().substr(0, kMaxStatusMessage));
  std::size_t size = frame.ByteSizeLong();
  for (const auto& cause : status.causes()) {
    StatusFrame::Cause item;
    item.set_reason(cause.reason);
    item.set_field(cause.field);
    item.set_message(cause.message);
    size += item.ByteSizeLong() + 8;  // tag and length
    if (size > kMaxPayload) break;
    *frame.add_causes() = std::move(item);
  }
  return frame.SerializeAsString();
}

Status decodeStatus(std::string_view payload) {
  if (payload.empty()) return Status();
  StatusFrame frame;
  if (!frame.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Status(Code::kInternal, "the peer sent a malformed status");
  }
  std::vector<Cause> causes;
  for (const auto& cause : frame.causes()) {
    causes.push_back({cause.reason(), cause.field(), cause.message()});
  }
  return Status(codeFromName(frame.code()), frame.message(), std::move(causes));
}

}  // namespace podlab::rpc
