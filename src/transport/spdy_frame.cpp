#include "transport/spdy_frame.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>

namespace podlab::spdy {
namespace {

constexpr std::size_t kHead = 8;
constexpr std::uint32_t kControlBit = 0x80000000U;
constexpr std::uint32_t kVersion = 3;
constexpr std::uint32_t kFin = 1;
/// Of a header block: no client has reason for more.
constexpr std::uint32_t kMaxHeaders = 64;

/// With the length before each, the dictionary's first part (the SPDY draft 3.1, 2.6.10.1).
constexpr std::string_view kWords[] = {"options",
                                       "head",
                                       "post",
                                       "put",
                                       "delete",
                                       "trace",
                                       "accept",
                                       "accept-charset",
                                       "accept-encoding",
                                       "accept-language",
                                       "accept-ranges",
                                       "age",
                                       "allow",
                                       "authorization",
                                       "cache-control",
                                       "connection",
                                       "content-base",
                                       "content-encoding",
                                       "content-language",
                                       "content-length",
                                       "content-location",
                                       "content-md5",
                                       "content-range",
                                       "content-type",
                                       "date",
                                       "etag",
                                       "expect",
                                       "expires",
                                       "from",
                                       "host",
                                       "if-match",
                                       "if-modified-since",
                                       "if-none-match",
                                       "if-range",
                                       "if-unmodified-since",
                                       "last-modified",
                                       "location",
                                       "max-forwards",
                                       "pragma",
                                       "proxy-authenticate",
                                       "proxy-authorization",
                                       "range",
                                       "referer",
                                       "retry-after",
                                       "server",
                                       "te",
                                       "trailer",
                                       "transfer-encoding",
                                       "upgrade",
                                       "user-agent",
                                       "vary",
                                       "via",
                                       "warning",
                                       "www-authenticate",
                                       "method",
                                       "get",
                                       "status",
                                       "200 OK",
                                       "version",
                                       "HTTP/1.1",
                                       "url",
                                       "public",
                                       "set-cookie",
                                       "keep-alive",
                                       "origin"};
constexpr std::string_view kTail =
    "1001012012022052063003023033043053063074024054064074084094104114124134144154164175025045"
    "05203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401"
    " Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 S"
    "ervice UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, We"
    "d, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xm"
    "l,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdc"
    "hcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

std::string frameHead(std::uint32_t first, bool fin, std::size_t length) {
  return number32(first) + number32((fin ? kFin << 24U : 0U) | static_cast<std::uint32_t>(length));
}

/// A text with its length before it, taken off the front.
std::optional<std::string_view> takeText(std::string_view& block) {
  if (block.size() < 4) return std::nullopt;
  const std::uint32_t length = readNumber32(block);
  block.remove_prefix(4);
  if (length > block.size()) return std::nullopt;
  const std::string_view text = block.substr(0, length);
  block.remove_prefix(length);
  return text;
}

}  // namespace

std::optional<Frame> FrameReader::next(std::string_view& bytes) {
  if (!fault_.empty()) return std::nullopt;
  if (head_.size() < kHead) {
    const std::size_t count = std::min(kHead - head_.size(), bytes.size());
    head_ += bytes.substr(0, count);
    bytes.remove_prefix(count);
    if (head_.size() < kHead) return std::nullopt;
    const std::uint32_t first = readNumber32(head_);
    const std::uint32_t second = readNumber32(head_, 4);
    frame_ = {};
    frame_.fin = (second >> 24U & kFin) != 0;
    left_ = second & 0xffffffU;
    if ((first & kControlBit) != 0) {
      if ((first >> 16U & 0x7fffU) != kVersion)
        return fail("a frame of another version than SPDY/3");
      if (left_ > kMaxControl) return fail("a control frame is too large");
      frame_.type = static_cast<Type>(first & 0xffffU);
    } else {
      frame_.stream = first;
    }
  }
  const std::size_t count = std::min<std::size_t>(left_, bytes.size());
  frame_.payload += bytes.substr(0, count);
  bytes.remove_prefix(count);
  left_ -= static_cast<std::uint32_t>(count);
  const bool whole = left_ == 0;
  if (!whole && (frame_.type || frame_.payload.empty())) return std::nullopt;
  Frame ready = std::move(frame_);
  frame_ = {};
  if (whole) {
    head_.clear();
  } else {
    // The end is told with the last piece.
    frame_.stream = ready.stream;
    frame_.fin = std::exchange(ready.fin, false);
  }
  return ready;
}

std::optional<Frame> FrameReader::fail(std::string why) {
  fault_ = std::move(why);
  return std::nullopt;
}

std::string controlFrame(Type type, std::string_view payload, bool fin) {
  const std::uint32_t first = kControlBit | kVersion << 16U | static_cast<std::uint32_t>(type);
  return frameHead(first, fin, payload.size()).append(payload);
}

std::string dataFrame(std::uint32_t stream, std::string_view data, bool fin) {
  return frameHead(stream, fin, data.size()).append(data);
}

std::string rstFrame(std::uint32_t stream, Reset why) {
  return controlFrame(Type::kRstStream,
                      number32(stream) + number32(static_cast<std::uint32_t>(why)));
}

std::string number32(std::uint32_t number) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(number >> shift));
  return bytes;
}

std::uint32_t readNumber32(std::string_view bytes, std::size_t at) {
  std::uint32_t number = 0;
  for (const char byte : bytes.substr(at, 4))
    number = number << 8U | static_cast<unsigned char>(byte);
  return number;
}

const std::string& headerDictionary() {
  static const std::string dictionary = [] {
    std::string text;
    for (const std::string_view word : kWords)
      text.append(number32(static_cast<std::uint32_t>(word.size()))).append(word);
    return text.append(kTail);
  }();
  return dictionary;
}

struct HeaderReader::State {
  z_stream zlib{};
};

HeaderReader::HeaderReader() : state_(std::make_unique<State>()) {
  if (::inflateInit(&state_->zlib) != Z_OK) throw std::bad_alloc();
}

HeaderReader::~HeaderReader() {
  ::inflateEnd(&state_->zlib);
}

std::optional<Headers> HeaderReader::read(std::string_view block) {
  z_stream& zlib = state_->zlib;
  std::array<char, kMaxBlock> text;
  // zlib's interface has no const.
  zlib.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(block.data()));
  zlib.avail_in = static_cast<uInt>(block.size());
  zlib.next_out = reinterpret_cast<Bytef*>(text.data());
  zlib.avail_out = static_cast<uInt>(text.size());
  int result = ::inflate(&zlib, Z_SYNC_FLUSH);
  if (result == Z_NEED_DICT) {
    const std::string& dictionary = headerDictionary();
    ::inflateSetDictionary(&zlib, reinterpret_cast<const Bytef*>(dictionary.data()),
                           static_cast<uInt>(dictionary.size()));
    result = ::inflate(&zlib, Z_SYNC_FLUSH);
  }
  if (result != Z_OK || zlib.avail_in != 0 || zlib.avail_out == 0) return std::nullopt;
  std::string_view rest(text.data(), text.size() - zlib.avail_out);
  if (rest.size() < 4) return std::nullopt;
  const std::uint32_t count = readNumber32(rest);
  rest.remove_prefix(4);
  if (count > kMaxHeaders) return std::nullopt;
  Headers headers;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto name = takeText(rest);
    const auto value = name ? takeText(rest) : std::nullopt;
    if (!value) return std::nullopt;
    headers.emplace_back(*name, *value);
  }
  if (!rest.empty()) return std::nullopt;
  return headers;
}

std::string EmptyHeaders::next() {
  // The number 0, deflated as the first block of a stream and as a later one. A deflater would hold
  // 256 KiB a connection to say the same.
  static constexpr std::string_view kFirst(
      "\x78\xf9\xe3\xc6\xa7\xc2\x02\xa6\x23\x06\0\0\0\0\xff\xff", 16);
  static constexpr std::string_view kLater("\x02\x01\0\0\0\0\xff\xff", 8);
  return std::string(std::exchange(isFirst_, false) ? kFirst : kLater);
}

}  // namespace podlab::spdy
