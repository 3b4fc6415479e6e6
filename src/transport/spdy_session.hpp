#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <asio/any_io_executor.hpp>

#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/status.hpp"
#include "common/sync.hpp"
#include "transport/byte_stream.hpp"
#include "transport/http_server.hpp"
#include "transport/spdy_frame.hpp"

namespace podlab::spdy {

/// Whether the request asks to become a connection of SPDY/3.1.
bool wantsSpdy(const http::Request& request);
/// Answers such a request; `protocol` is what the streams carry. Null when the client has gone.
Co<ByteStream*> acceptSpdy(http::Exchange& exchange, std::string protocol);

/// One stream that the client opened. finishWriting() is its half-close; what is dropped before
/// both sides have ended ends this side, and takes and forgets what still comes.
class Stream : public ByteStream {
 public:
  /// The value of the header with which the stream was opened; "" when there is none.
  virtual std::string header(std::string_view name) const = 0;
  /// The client has taken the stream back, or has gone: nothing more can be told on it.
  virtual bool isReset() const = 0;
};

struct SessionOptions {
  std::size_t maxStreams = 512;  ///< at one time; more are refused
  /// Received bytes that wait to be read, of each stream. Clients know no flow control: when a
  /// stream's are not read, nothing is read of the connection.
  std::size_t buffer = 64UL << 10;
  /// How often the client is asked whether it is there. While nothing is read of the connection,
  /// not even its end, only a write that fails tells that the client has gone.
  Duration ping = std::chrono::seconds(5);
};

/// The server's side of a connection of SPDY/3.1, as far as Kubernetes' clients speak it: they open
/// the streams (the draft of SPDY/3.1; k8s.io/apimachinery/pkg/util/httpstream/spdy).
class Session {
 public:
  /// Runs until the connection ends or stop(). `connection` and `clock` must outlive it.
  Session(asio::any_io_executor executor, ByteStream& connection, Clock& clock,
          SessionOptions options = {});
  ~Session();

  /// The next stream; kEndOfStream when the client has said that it opens no more, or has gone.
  Co<Result<std::unique_ptr<Stream>>> accept();
  /// True when the client has gone or says that it goes; false at `deadline`.
  Co<bool> waitUntilEnded(MonoTime deadline);
  Co<void> waitUntilEnded();
  /// When all that was written has left, or the client has gone.
  Co<void> flush();
  /// Ends it: its streams are as if the client had gone. Must be awaited before the destruction.
  Co<void> stop();

 private:
  struct Entry;
  class StreamImpl;

  Co<void> readAll();
  Co<void> writeAll();
  Co<void> ping();
  Co<void> takeData(Frame frame);
  void takeControl(const Frame& frame);
  void open(const std::string& payload, bool fin);
  void push(std::string frame);
  /// When there is room in what waits to be written.
  Co<void> room();
  void forgetWhenDone(const std::shared_ptr<Entry>& entry);
  void end(const std::string& why);

  ByteStream& connection_;
  Clock& clock_;
  SessionOptions options_;
  FrameReader frames_;
  HeaderReader headers_;
  EmptyHeaders replies_;
  std::map<std::uint32_t, std::shared_ptr<Entry>> streams_;
  AsyncQueue<std::unique_ptr<Stream>> opened_;
  std::uint32_t lastStream_ = 0;
  std::string out_;
  bool writing_ = false;
  bool ended_ = false;
  WaitQueue outChanged_;
  WaitQueue finished_;
  /// What streams that outlive the session see: null then.
  std::shared_ptr<Session*> self_;
  TaskGroup tasks_;
};

}  // namespace podlab::spdy
