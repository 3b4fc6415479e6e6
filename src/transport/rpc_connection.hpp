#pragma once
// Inside src/transport only: the implementation of rpc.hpp.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <asio/cancellation_signal.hpp>

#include "common/log.hpp"
#include "common/sync.hpp"
#include "transport/rpc.hpp"
#include "transport/rpc_frame.hpp"

namespace podlab::rpc {

/// One stream as its connection sees it.
struct StreamState {
  struct Message {
    std::string data;
    std::size_t cost = 0;  ///< credit to give back when it is taken
  };

  std::uint64_t id = 0;
  std::string method;

  std::list<Message> inbox;
  std::string partial;              ///< the message being received
  std::size_t partialCost = 0;      ///< its credit that was not given back yet
  std::size_t receiveWindow = 0;    ///< what the peer may still send
  std::size_t earned = 0;           ///< credit to give back with the next WINDOW frame
  std::size_t held = 0;             ///< bytes in inbox and partial
  bool reading = false;             ///< receive() waits
  std::optional<Status> remoteEnd;  ///< nothing more will be received, and why
  WaitQueue readable;

  std::string outgoing;  ///< the message being sent
  std::size_t sent = 0;  ///< bytes of it that have left
  bool sending = false;
  bool queued = false;  ///< in the connection's queue of streams with something to send
  bool finishAfterSend = false;
  std::size_t sendWindow = 0;
  std::optional<Status> localEnd;  ///< what send() returns from now on
  WaitQueue writable;

  asio::cancellation_signal cancelHandler;
};

/// What has been read and not been parsed. Grows while much comes, shrinks when little does:
/// thousands of idle connections must cost little.
class InputBuffer {
 public:
  MutableBytes space();
  void added(std::size_t n);
  std::string_view view() const;
  void consume(std::size_t n);

 private:
  static constexpr std::size_t kSmall = 2 << 10;
  static constexpr std::size_t kLarge = 2 * kMaxPayload;
  void resize(std::size_t capacity);

  std::unique_ptr<std::byte[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t wanted_ = kSmall;
};

class ConnectionImpl final : public Connection,
                             public std::enable_shared_from_this<ConnectionImpl> {
 public:
  ConnectionImpl(asio::any_io_executor executor, Clock& clock, std::unique_ptr<ByteStream> stream,
                 bool isServer, Handler handler, ConnectionOptions options);
  void start();

  Co<Result<std::unique_ptr<Stream>>> open(std::string method) override;
  const ByteStream::PeerIdentity& peerIdentity() const override { return identity_; }
  std::string peer() const override { return peer_; }
  Co<Status> closed() override;
  void close() override;

  // For streams.
  std::size_t sendLimit() const;
  /// Sends a small message at once when nothing else waits.
  bool trySend(StreamState& state, std::string_view message);
  /// Lets the writer take the message from state->outgoing, in chunks.
  void enqueue(const std::shared_ptr<StreamState>& state);
  void finish(StreamState& state, const Status& status);
  /// Ends the stream in both directions and tells the peer, unless it has ended.
  void reset(StreamState& state, const Status& status);
  std::string take(StreamState& state);
  /// Gives back the credit of a partly received message, so that its rest can come.
  void creditPartial(StreamState& state);
  void discardInbox(StreamState& state);

 private:
  using StatePtr = std::shared_ptr<StreamState>;

  static Co<void> readLoop(std::shared_ptr<ConnectionImpl> self);
  static Co<void> writeLoop(std::shared_ptr<ConnectionImpl> self);
  static Co<void> serve(std::shared_ptr<ConnectionImpl> self, std::unique_ptr<Stream> stream);

  /// Parses what was read; a failure is a broken protocol.
  Status consume();
  Status onFrame(const FrameHeader& header, std::string_view payload);
  Status onOpen(std::uint64_t id, std::string_view method);
  Status onData(const StatePtr& state, std::uint8_t flags, std::string_view payload);
  Status onFinish(StreamState& state, std::string_view payload);
  void onReset(StreamState& state, std::string_view payload);
  Status onWindow(const StatePtr& state, std::string_view payload);

  bool used(std::uint64_t id) const;
  StatePtr makeState(std::uint64_t id, std::string method);
  void sendFrame(FrameType type, std::uint8_t flags, std::uint64_t stream,
                 std::string_view payload);
  void wakeWriter();
  void fillOutput();
  void sendChunk(StreamState& state);
  void earn(StreamState& state, std::size_t credit);
  void endStream(StreamState& state, const Status& status);
  void retireIfEnded(StreamState& state);
  void resetGreediest();
  void tick();
  void scheduleTick(MonoTime at);
  /// The connection is over: for all streams, handlers and loops.
  void end(Status reason, bool tellPeer, LogLevel level = LogLevel::kInfo);
  void finishIfEnded();
  Status lost() const;

  asio::any_io_executor executor_;
  Clock& clock_;
  std::unique_ptr<ByteStream> stream_;
  Handler handler_;
  ConnectionOptions options_;
  std::string peer_;
  ByteStream::PeerIdentity identity_;

  std::unordered_map<std::uint64_t, StatePtr> streams_;  ///< not ended in both directions
  std::unordered_map<std::uint64_t, StatePtr> serving_;  ///< those whose handler runs
  std::uint64_t nextId_;
  std::uint64_t lastPeerId_ = 0;
  bool greeted_ = false;  ///< the peer's hello has come
  Hello hello_;
  WaitQueue greeting_;

  InputBuffer input_;
  std::size_t buffered_ = 0;

  std::string output_;          ///< frames to write
  std::deque<StatePtr> ready_;  ///< streams with something to send and credit for it, in turn
  bool writerIdle_ = false;
  WaitQueue writable_;
  WaitQueue drained_;

  MonoTime started_;
  MonoTime lastReceived_;
  std::optional<MonoTime> writingSince_;
  int unanswered_ = 0;
  Clock::TimerId timer_ = 0;

  bool ending_ = false;
  int loops_ = 2;  ///< running
  bool ended_ = false;
  Status reason_;
  WaitQueue endedQueue_;
};

}  // namespace podlab::rpc
