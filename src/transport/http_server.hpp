#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/status.hpp"
#include "transport/byte_stream.hpp"
#include "transport/http_request.hpp"

namespace podlab::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Response {
  int code = 200;
  Headers headers;  ///< but for Date, Content-Length, Transfer-Encoding and Connection
  std::string body;
};

/// Sends the parts of a response whose length is not known.
class Sender {
 public:
  virtual ~Sender() = default;
  /// OK when the bytes are on their way; kUnavailable when the client takes none for long.
  virtual Co<Status> send(std::string part) = 0;
};

/// One request and its answer, which is given once.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const Request& request() const = 0;
  virtual const ByteStream::PeerIdentity& peerIdentity() const = 0;

  virtual Co<void> respond(Response response) = 0;
  /// Answers with a body that is made while it is sent, so that a large one is never whole in
  /// memory: `next` gives it piece by piece, "" at its end.
  virtual Co<void> respondInPieces(Response head, std::function<std::string()> next) = 0;
  /// Sends the head and then, in chunks, what `body` sends; `body` is cancelled when the client
  /// goes. An error of `body` cuts the connection, so that the client sees that the rest is
  /// missing.
  virtual Co<void> stream(Response head, std::function<Co<Status>(Sender&)> body) = 0;
  /// Answers 101 with the headers; from then on the connection is the caller's, as long as the
  /// exchange lives. Null when the client has gone.
  virtual Co<ByteStream*> upgrade(Headers headers) = 0;
};

/// Must not throw but when cancelled; an exchange without an answer becomes a 500.
using Handler = std::function<Co<void>(Exchange&)>;

struct ConnectionOptions {
  RequestParser::Limits limits;
  Duration idle = std::chrono::minutes(3);      ///< between requests
  Duration request = std::chrono::seconds(60);  ///< from a request's first byte to its last
  Duration write = std::chrono::seconds(60);    ///< for 64 KiB of an answer
  bool once = false;                            ///< one request, then the end
};

/// Serves requests of one connection, one after the other, until it ends; to end it, close the
/// stream. Must not be cancelled.
Co<void> serveConnection(ByteStream& stream, Clock& clock, Handler handler,
                         ConnectionOptions options = {});

/// "404 Not Found"
std::string statusLine(int code);

}  // namespace podlab::http
