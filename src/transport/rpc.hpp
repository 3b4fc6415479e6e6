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
  /// OK once the message is on its way (not: received). A cancelled send() resets the stream.
  virtual Co<Status> send(std::string message) = 0;
  /// The next message; kEndOfStream after the peer's clean finish, its Status after a failed one,
  /// kUnavailable when the connection is lost.
  virtual Co<Result<std::string>> receive() = 0;
  /// Ends this side, with OK or the failure that the peer's receive() then returns. After OK a
  /// message still being sent leaves first; a failure overtakes it.
  virtual void finish(Status status = {}) = 0;
};

struct ConnectionOptions {
  std::size_t maxMessage = 16 << 20;  ///< a larger one is refused with kTooLarge, on both sides
  std::size_t window = 256 << 10;     ///< bytes a stream may have in flight
  std::size_t maxStreams = 4096;      ///< opened by the peer at one time
  /// Received bytes that wait to be taken, over all streams (at least maxMessage). Beyond it the
  /// stream that holds the most is reset with kExhausted.
  std::size_t maxBuffered = 64 << 20;
  /// A ping after so much silence; the peer is dead after two unanswered ones, or when it has
  /// accepted no bytes for two such periods.
  Duration keepAlive = std::chrono::seconds(10);
};

class Connection;
/// Serves one stream that the peer opened; returning finishes it with that Status (kEndOfStream
/// counts as OK). It is cancelled when the peer resets the stream and when the connection ends. An
/// exception is logged and becomes kInternal.
using Handler = std::function<Co<Status>(Connection&, Stream&)>;

/// Both sides of a connection may open streams (the server calls agents over the agents' own
/// connections).
class Connection {
 public:
  virtual ~Connection() = default;
  virtual Co<Result<std::unique_ptr<Stream>>> open(std::string method) = 0;
  virtual const ByteStream::PeerIdentity& peerIdentity() const = 0;
  virtual std::string peer() const = 0;
  /// Until the connection has ended and all its handlers have returned; the reason.
  virtual Co<Status> closed() = 0;
  /// Ends the connection: what was sent still leaves (for at most a second), all streams fail with
  /// kUnavailable, handlers are cancelled.
  virtual void close() = 0;

  /// Opens a stream, sends one request and receives one response.
  Co<Status> call(std::string method, const google::protobuf::MessageLite& request,
                  google::protobuf::MessageLite& response);
};

/// Runs the protocol on `stream` until it ends; `handler` serves the streams that the peer opens
/// (none: they are refused). Dropping the last pointer closes the connection. The two sides of a
/// connection differ in `isServer`. Wire protocol: transport/rpc_frame.hpp.
std::shared_ptr<Connection> makeConnection(asio::any_io_executor executor, Clock& clock,
                                           std::unique_ptr<ByteStream> stream, bool isServer,
                                           Handler handler, ConnectionOptions options = {});

/// A message as one stream message, and back (kBadRequest when malformed).
std::string encode(const google::protobuf::MessageLite& message);
Status decode(std::string_view bytes, google::protobuf::MessageLite& message);

}  // namespace podlab::rpc
