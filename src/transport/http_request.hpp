#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace podlab::http {

/// One request of HTTP/1.1 (RFC 9112).
struct Request {
  std::string method;  ///< "GET"
  std::string path;    ///< as sent: percent-encoded, with a leading '/'
  std::string query;   ///< as sent, without '?'
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
  std::string body;
  bool keepAlive = true;

  /// The header's value, of several the first; nullptr when there is none. `name` in lower case.
  const std::string* header(std::string_view name) const;
  /// Whether one of the comma-separated tokens of the header's values is `token`, in any case.
  bool headerHas(std::string_view name, std::string_view token) const;
};

/// Reads one request, byte by byte as it comes. Strict where senders and receivers have been played
/// off against each other: no bare LF, no folded lines, no space before a colon, one way to give a
/// body's length, no transfer coding but "chunked".
class RequestParser {
 public:
  struct Limits {
    std::size_t head = 64UL << 10;
    std::size_t body = 3UL << 20;  ///< as the Kubernetes API has it
  };
  /// Why a request is refused.
  struct Fault {
    int code = 400;  ///< the HTTP status: 400, 413, 431, 501, 505
    std::string why;
  };

  RequestParser() = default;
  explicit RequestParser(Limits limits) : limits_(limits) {}

  /// Takes bytes up to the request's end; how many. None after a fault.
  std::size_t feed(std::string_view bytes);
  bool done() const { return state_ == State::kDone; }
  /// Nothing of a request has come.
  bool isEmpty() const { return state_ == State::kHead && buffer_.empty(); }
  const std::optional<Fault>& fault() const { return fault_; }
  /// The client wants to hear "100 Continue" before it sends the body. Once true, false again.
  bool takeContinue() { return std::exchange(wantsContinue_, false); }
  /// The request, when done; the parser is as new.
  Request take();

 private:
  enum class State { kHead, kLength, kChunkSize, kChunk, kChunkEnd, kTrailer, kDone };

  bool fail(int code, std::string why);
  bool parseHead(std::string_view head);
  bool parseRequestLine(std::string_view line);
  bool parseHeader(std::string_view line);
  bool parseFraming(bool isHttp11);
  bool chunkLine(std::string_view line);

  Limits limits_;
  State state_ = State::kHead;
  std::string buffer_;  ///< of the head, or of a line
  std::uint64_t left_ = 0;
  std::size_t trailerSize_ = 0;
  bool wantsContinue_ = false;
  bool isHttp11_ = true;
  Request request_;
  std::optional<Fault> fault_;
};

/// The text with %XX decoded; nullopt when an escape is malformed.
std::optional<std::string> percentDecode(std::string_view text);

/// The fields of a query as of a form ('+' is a space), in their order; nullopt when an escape is
/// malformed or a text is not UTF-8.
std::optional<std::vector<std::pair<std::string, std::string>>> parseQuery(std::string_view query);

}  // namespace podlab::http
