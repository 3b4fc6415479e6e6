#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.hpp"

namespace podlab::rpc {

// The wire protocol. Each side first sends a hello of 16 bytes: the magic, its window and its
// message limit. Frames follow: a header of 14 bytes (payload length u32, type u8, flags u8, stream
// u64; all big-endian), and the payload. The side that dialled numbers its streams 1, 3, 5, ...,
// the other 2, 4, 6, ...; a number is used once. Stream 0 is the connection itself.
//
// A DATA frame costs its payload and kHeaderSize of the receiver's window; WINDOW gives credit back
// as the application takes messages.

inline constexpr std::string_view kMagic{"podlab\x00\x01", 8};
inline constexpr std::size_t kHelloSize = 16;
inline constexpr std::size_t kHeaderSize = 14;
inline constexpr std::size_t kMaxPayload = 64 << 10;  ///< of any frame
inline constexpr std::size_t kChunk = 16 << 10;  ///< of a DATA frame, so that streams take turns
inline constexpr std::size_t kMaxMethod = 256;   ///< bytes of a method's name

enum class FrameType : std::uint8_t {
  kOpen = 1,    ///< payload: the method
  kData = 2,    ///< a part of a message
  kFinish = 3,  ///< the sender will send no more; payload: its status
  kReset = 4,   ///< the stream is over in both directions; payload: why
  kWindow = 5,  ///< payload: u32 of further credit
  kPing = 6,    ///< payload: 8 bytes, sent back with kAnswer
  kClose = 7,   ///< the connection is over; payload: why
};
inline constexpr std::uint8_t kEndOfMessage = 1;  ///< flag of kData
inline constexpr std::uint8_t kAnswer = 1;        ///< flag of kPing

struct Hello {
  std::uint32_t window = 0;
  std::uint32_t maxMessage = 0;
};

struct FrameHeader {
  std::uint32_t length = 0;
  FrameType type = FrameType::kOpen;
  std::uint8_t flags = 0;
  std::uint64_t stream = 0;
};

void appendHello(std::string& out, const Hello& hello);
/// kBadRequest when `bytes` (kHelloSize of them) are not a hello of this protocol's version.
Result<Hello> parseHello(std::string_view bytes);

void appendFrame(std::string& out, FrameType type, std::uint8_t flags, std::uint64_t stream,
                 std::string_view payload);
void appendWindow(std::string& out, std::uint64_t stream, std::uint32_t credit);
/// kBadRequest for an unknown type or a payload over kMaxPayload; `bytes` has kHeaderSize bytes.
Result<FrameHeader> parseHeader(std::string_view bytes);
std::uint32_t parseCredit(std::string_view payload);

/// A status as payload: at most kMaxPayload bytes, to which message and causes are cut.
std::string encodeStatus(const Status& status);
/// The status of a payload; malformed ones become kInternal.
Status decodeStatus(std::string_view payload);

}  // namespace podlab::rpc
