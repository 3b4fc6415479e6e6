#pragma once
#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <asio/any_io_executor.hpp>

#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/status.hpp"
#include "transport/byte_stream.hpp"

namespace podlab::rpc {

/// One bidirectional stream of messages over a connection. Each side's send() waits while the
/// peer's window is full, so a slow reader holds up only its own stream. One send() and one
/// receive() at a time, which may overlap.
class Stream {
 public:
  virtual ~Stream() = default;  ///< resets the stream when it has not ended
  virtual const std::string& method() const = 0;
  virtual Co<Status> send(std::string message) = 0;
  /// The next message; kEndOfStream after the peer's clean finish, its Status after a failed one,
  /// kUnavailable when the connection is lost.
  virtual Co<Result<std::string>> receive() = 0;
  /// Ends this side, with OK or the failure that the peer's receive() then returns.
  virtual void finish(Status status = {}) = 0;
};

struct ConnectionOptions {
  std::size_t maxMessage = 16 << 20;  ///< a larger one is refused with kTooLarge, on both sides
  std::size_t window = 256 << 10;     ///< bytes a stream may have in flight
  std::size_t maxStreams = 4096;      ///< opened by the peer at one time
  Duration keepAlive =
      std::chrono::seconds(10);  ///< a ping after so much silence; dead after two unanswered
};

class Connection;
/// Serves one stream that the peer opened; returning finishes it with that Status.
using Handler = std::function<Co<Status>(Connection&, Stream&)>;

/// Both sides of a connection may open streams (the server calls agents over the agents' own
/// connections).
class Connection {
 public:
  virtual ~Connection() = default;
  virtual Co<Result<std::unique_ptr<Stream>>> open(std::string method) = 0;
  virtual const ByteStream::PeerIdentity& peerIdentity() const = 0;
  virtual std::string peer() const = 0;
  /// Until the connection has ended; the reason.
  virtual Co<Status> closed() = 0;
  virtual void close() = 0;

  /// Sends one request and receives one response.
  Co<Status> call(std::string method, const google::protobuf::MessageLite& request,
                  google::protobuf::MessageLite& response);
};

/// Runs the protocol on `stream` until it ends; `handler` serves the streams that the peer opens.
std::shared_ptr<Connection> makeConnection(asio::any_io_executor executor, Clock& clock,
                                           std::unique_ptr<ByteStream> stream, bool isServer,
                                           Handler handler, ConnectionOptions options = {});

/// A message as one stream message, and back (kBadRequest when malformed).
std::string encode(const google::protobuf::MessageLite& message);
Status decode(std::string_view bytes, google::protobuf::MessageLite& message);

}  // namespace podlab::rpc
