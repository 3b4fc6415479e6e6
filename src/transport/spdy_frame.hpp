#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace podlab::spdy {

/// The types of SPDY/3.1's control frames.
enum class Type : std::uint16_t {
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kHeaders = 8,
  kWindowUpdate = 9
};
/// Why a stream is reset.
enum class Reset : std::uint32_t {
  kProtocolError = 1,
  kInvalidStream = 2,
  kRefused = 3,
  kCancel = 5,
  kInternal = 6
};

/// A control frame, or a piece of a data frame.
struct Frame {
  std::optional<Type> type;  ///< nothing: data
  std::uint32_t stream = 0;  ///< of data
  bool fin = false;          ///< the sender sends no more on this stream
  std::string payload;
};

/// Reads frames as their bytes come. What is held of them is bounded: data is given in pieces, a
/// control frame has at most kMaxControl bytes.
class FrameReader {
 public:
  static constexpr std::size_t kMaxControl = 32UL << 10;

  /// Takes bytes off the front of `bytes`; the next frame when it is whole by them. Call it until
  /// there is none.
  std::optional<Frame> next(std::string_view& bytes);
  /// What was wrong; nothing is read any more.
  const std::string& fault() const { return fault_; }

 private:
  std::optional<Frame> fail(std::string why);

  std::string head_;
  Frame frame_;
  std::uint32_t left_ = 0;  ///< bytes of the frame that have not come
  std::string fault_;
};

std::string controlFrame(Type type, std::string_view payload, bool fin = false);
std::string dataFrame(std::uint32_t stream, std::string_view data, bool fin = false);
std::string rstFrame(std::uint32_t stream, Reset why);

/// Four bytes, the highest first.
std::string number32(std::uint32_t number);
/// The number that begins at `at`, which must be within `bytes`.
std::uint32_t readNumber32(std::string_view bytes, std::size_t at = 0);

/// The dictionary with which header blocks are compressed.
const std::string& headerDictionary();

using Headers = std::vector<std::pair<std::string, std::string>>;

/// Reads the header blocks of one direction of a connection, which are one stream of zlib.
class HeaderReader {
 public:
  static constexpr std::size_t kMaxBlock = 16UL << 10;  ///< decompressed

  HeaderReader();
  ~HeaderReader();
  /// Nothing when the block is malformed or too large: then the connection is of no more use.
  std::optional<Headers> read(std::string_view block);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The header blocks that a server sends, all of them empty.
class EmptyHeaders {
 public:
  std::string next();

 private:
  bool isFirst_ = true;
};

}  // namespace podlab::spdy
