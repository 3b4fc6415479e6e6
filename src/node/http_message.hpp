#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.hpp"

namespace podlab::node {

/// Where an HTTP request goes.
struct HttpTarget {
  bool tls = false;
  std::string host;  ///< name or address, without brackets
  std::uint16_t port = 80;
  std::string path = "/";  ///< with the query

  /// "http://10.244.1.2:8080/healthz"
  std::string url() const;
  /// For the Host header, without the scheme's own port.
  std::string authority() const;
};

/// Where a Location header leads from `from` (RFC 3986, 5.2); kInvalid for what is neither http nor
/// https, or no URL.
Result<HttpTarget> resolveLocation(const HttpTarget& from, std::string_view location);

/// `path` as it can stand in a request line: absolute, spaces and control characters escaped.
std::string requestPath(std::string_view path);

/// Reads the reply to one GET request, HTTP/1.0 or 1.1, byte by byte as it comes (RFC 9112).
class HttpReply {
 public:
  static constexpr std::size_t kMaxHead = 64 << 10;
  static constexpr std::size_t kMaxBody = 10
                                          << 10;  ///< what is kept of it (kubelet pkg/probe/http)

  /// More bytes; kInvalid when they are not HTTP.
  Status feed(std::string_view bytes);
  /// The peer has ended its side; kInvalid when something is missing.
  Status end();
  /// Nothing more is needed.
  bool done() const { return state_ == State::kDone; }

  int code() const { return code_; }
  const std::string& location() const { return location_; }
  const std::string& body() const { return body_; }

 private:
  enum class State { kHead, kLength, kChunkSize, kChunk, kChunkEnd, kUntilEnd, kDone };

  Status parseHead(std::string_view head);
  Status parseBody();
  void takeBody(std::size_t count);
  /// The next line without its end; nullopt when it is not whole yet.
  std::optional<std::string_view> line();

  State state_ = State::kHead;
  std::string buffer_;
  std::size_t at_ = 0;  ///< what of the buffer has been read
  int code_ = 0;
  std::string location_;
  std::string body_;
  std::uint64_t left_ = 0;  ///< of the body or chunk
};

}  // namespace podlab::node
