#include "apiserver/rest_port_forward.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <variant>

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>

#include "agent_rpc.pb.h"

#include "apiserver/local_stream.hpp"
#include "apiserver/program_client.hpp"
#include "transport/memory.hpp"
#include "transport/spdy_session.hpp"
#include "transport/tunnel.hpp"
#include "transport/websocket_connection.hpp"

namespace podlab::apiserver {
namespace {

using namespace asio::experimental::awaitable_operators;

constexpr const char* kProtocol = "portforward.k8s.io";
constexpr const char* kTunnel = "SPDY/3.1+portforward.k8s.io";
constexpr std::size_t kMaxMessage = 32UL << 10;
constexpr std::uint16_t kNormal = 1000;
/// Of v5.channel.k8s.io: the byte behind it names the channel whose sender has ended.
constexpr unsigned char kEndOfChannel = 255;
/// How long a client has to answer the close.
constexpr Duration kCloseTimeout = std::chrono::seconds(1);

/// What carries the connections of one client, whatever its protocol.
class Forwarder {
 public:
  Forwarder(StreamRelay& relay, User user, api::ResourceId pod)
      : relay_(relay), user_(std::move(user)), pod_(std::move(pod)) {}

  /// One connection to the port, until both directions have ended or the client has gone.
  Co<Status> carry(ByteStream& data, std::uint16_t port, Co<void> clientGone) {
    Use use = [&data](rpc::Stream& stream) { return rpc::tunnel(data, stream); };
    co_return co_await serve(port, std::move(use), std::move(clientGone));
  }

  /// Until the pod's network or the client has gone.
  Co<Status> untilGone(Co<void> clientGone) {
    co_return co_await serve(std::nullopt, end, std::move(clientGone));
  }

 private:
  using Use = std::function<Co<Status>(rpc::Stream&)>;

  static Co<Status> end(rpc::Stream& stream) { co_return (co_await stream.receive()).status(); }

  Co<Status> serve(std::optional<std::uint16_t> port, Use use, Co<void> clientGone) {
    rpc::PortForwardRequest request;
    request.set_namespace_(pod_.ns);
    request.set_pod(pod_.name);
    if (port) request.set_port(*port);
    auto [ours, theirs] = makeLocalStream("portforward");
    LocalService relaying(
        co_await asio::this_coro::executor,
        [&relay = relay_, user = user_](rpc::Stream& stream) { return relay.serve(user, stream); },
        std::move(theirs));
    (void)co_await ours->send(rpc::encode(request));
    const auto result = co_await (use(*ours) || std::move(clientGone));
    co_await relaying.stop();
    const Status* status = std::get_if<0>(&result);
    co_return status != nullptr ? *status : Status(Code::kUnavailable, "the client has gone");
  }

  StreamRelay& relay_;
  User user_;
  api::ResourceId pod_;
};

std::optional<std::uint16_t> portOf(const std::string& text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

/// The two streams of one connection. When the pod has ended its side, clients take the end of the
/// error stream, too, for the end of all.
class Connection final : public ByteStream {
 public:
  std::unique_ptr<spdy::Stream> data;
  std::unique_ptr<spdy::Stream> error;

  Co<Result<std::size_t>> read(MutableBytes out) override { co_return co_await data->read(out); }
  Co<Status> write(Bytes bytes) override { co_return co_await data->write(bytes); }
  void close() override { data->close(); }
  bool finishWriting() override {
    data->finishWriting();
    error->finishWriting();
    return true;
  }
  std::string peer() const override { return data->peer(); }
};

/// Port-forward over SPDY: each connection has a stream of data and one that tells an error.
class StreamForward {
 public:
  StreamForward(asio::any_io_executor executor, ByteStream& connection, Clock& clock,
                Forwarder& forwarder)
      : session_(executor, connection, clock), forwarder_(forwarder), tasks_(executor) {}

  Co<void> run() {
    tasks_.spawn("forward_streams", acceptAll());
    (void)co_await forwarder_.untilGone(session_.waitUntilEnded());
    // Without its streams no connection goes on.
    co_await session_.stop();
    co_await tasks_.join();
  }

 private:
  Co<void> acceptAll() {
    while (true) {
      auto stream = co_await session_.accept();
      if (!stream) co_return;
      const std::string id = (*stream)->header("requestid");
      const std::string type = (*stream)->header("streamtype");
      const auto port = portOf((*stream)->header("port"));
      // What is not of a connection is dropped, and so ends.
      if (id.empty() || !port || (type != "data" && type != "error")) continue;
      auto& waiting = waiting_[id];
      if (!waiting) waiting = std::make_unique<Connection>();
      (type == "data" ? waiting->data : waiting->error) = std::move(*stream);
      if (!waiting->data || !waiting->error) continue;
      tasks_.spawn("forward", carry(std::move(waiting), *port));
      waiting_.erase(id);
    }
  }

  Co<void> carry(std::unique_ptr<Connection> connection, std::uint16_t port) {
    const Status end = co_await forwarder_.carry(*connection, port, session_.waitUntilEnded());
    if (!end && !connection->data->isReset()) {
      const std::string& why = end.message();
      (void)co_await connection->error->write(std::as_bytes(std::span(why)));
    }
    connection->finishWriting();
  }

  spdy::Session session_;
  Forwarder& forwarder_;
  std::map<std::string, std::unique_ptr<Connection>> waiting_;
  TaskGroup tasks_;
};

/// Of one port: data on one channel of the WebSocket, an error on the next. The pod's end is the
/// end of both directions.
class PortChannels final : public ByteStream {
 public:
  PortChannels(http::WebSocketConnection& socket, unsigned char channel, std::uint16_t port)
      : socket_(socket), channel_(channel), port_(port) {
    std::tie(in_, received_) = transport::makeMemoryPipe();
  }

  std::uint16_t port() const { return port_; }
  /// Each channel begins with the port.
  Co<void> begin() {
    const std::string text{static_cast<char>(port_), static_cast<char>(port_ >> 8U)};
    (void)co_await send(channel_, text);
    (void)co_await send(channel_ + 1, text);
  }
  /// Data from the client; waits while earlier data was not read.
  Co<void> take(std::string data) {
    (void)co_await received_->write(std::as_bytes(std::span(data)));
  }
  /// The client sends no more. The pod hears of it, and may go on.
  void endInput() { received_->finishWriting(); }
  Co<void> fail(std::string why) { (void)co_await send(channel_ + 1, why); }

  Co<Result<std::size_t>> read(MutableBytes out) override { co_return co_await in_->read(out); }
  Co<Status> write(Bytes data) override {
    Status sent;
    std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
    while (!text.empty() && sent) {
      sent = co_await send(channel_, text.substr(0, kMaxMessage));
      text.remove_prefix(std::min(text.size(), kMaxMessage));
    }
    co_return sent;
  }
  bool finishWriting() override { return received_->finishWriting(); }
  void close() override { in_->close(); }
  std::string peer() const override { return "a WebSocket's channel"; }

 private:
  Co<Status> send(unsigned channel, std::string_view data) {
    std::string payload(1, static_cast<char>(channel));
    payload += data;
    co_return co_await socket_.send(http::WebSocketReader::Kind::kBinary, payload);
  }

  http::WebSocketConnection& socket_;
  unsigned char channel_;
  std::uint16_t port_;
  std::unique_ptr<ByteStream> in_;
  std::unique_ptr<ByteStream> received_;
};

/// Port-forward over channels: one connection to each port.
class ChannelForward {
 public:
  ChannelForward(asio::any_io_executor executor, ByteStream& connection, Clock& clock,
                 Forwarder& forwarder)
      : socket_(connection), clock_(clock), forwarder_(forwarder), tasks_(std::move(executor)) {}

  Co<void> run(std::vector<std::uint16_t> ports) {
    for (const std::uint16_t port : ports) {
      const auto channel = static_cast<unsigned char>(2 * ports_.size());
      ports_.push_back(std::make_unique<PortChannels>(socket_, channel, port));
      co_await ports_.back()->begin();
    }
    open_ = ports_.size();
    TaskGroup listening(tasks_.executor());
    listening.spawn("forward_input", receiveAll());
    listening.spawn("forward_ping", ping());
    tasks_.spawn("forward_pod", untilPodGone());
    for (const auto& port : ports_) tasks_.spawn("forward", carry(*port));
    while (!over_ && open_ > 0) co_await changed_.wait();
    over_ = true;
    changed_.notifyAll();
    co_await tasks_.join();
    (void)co_await socket_.close(kNormal);
    // The client answers the close; cut off before, it may lose what it has not read yet.
    const MonoTime deadline = clock_.now() + kCloseTimeout;
    while (!clientEnded_ && co_await changed_.waitUntil(clock_, deadline)) {
    }
    co_await listening.cancelAndJoin();
  }

 private:
  Co<void> receiveAll() {
    while (true) {
      auto message = co_await socket_.receive();
      if (!message) break;
      if (message->payload.empty()) continue;
      std::string& payload = message->payload;
      const auto first = static_cast<unsigned char>(payload[0]);
      const bool ends = first == kEndOfChannel && payload.size() == 2;
      const auto channel = static_cast<unsigned char>(payload[ends ? 1 : 0]);
      if (channel % 2 != 0 || channel / 2U >= ports_.size()) continue;
      PortChannels& port = *ports_[channel / 2U];
      if (ends) {
        port.endInput();
      } else {
        co_await port.take(payload.substr(1));
      }
    }
    clientEnded_ = true;
    finish();
  }
  Co<void> ping() {
    co_await socket_.pingUntilGone(clock_);
    finish();
  }
  Co<void> untilPodGone() {
    (void)co_await forwarder_.untilGone(untilOver());
    finish();
  }
  Co<void> carry(PortChannels& port) {
    const Status end = co_await forwarder_.carry(port, port.port(), untilOver());
    if (!end && !over_) co_await port.fail(end.message());
    port.close();
    --open_;
    changed_.notifyAll();
  }
  Co<void> untilOver() {
    while (!over_) co_await changed_.wait();
  }
  void finish() {
    over_ = true;
    changed_.notifyAll();
  }

  http::WebSocketConnection socket_;
  Clock& clock_;
  Forwarder& forwarder_;
  std::vector<std::unique_ptr<PortChannels>> ports_;
  std::size_t open_ = 0;
  bool over_ = false;
  bool clientEnded_ = false;
  WaitQueue changed_;
  TaskGroup tasks_;
};

bool wantsTunnel(const http::Request& request) {
  return http::wantsWebSocket(request) && request.headerHas("sec-websocket-protocol", kTunnel);
}

bool wantsStreams(const http::Request& request) {
  return spdy::wantsSpdy(request) && request.headerHas("x-stream-protocol-version", kProtocol);
}

}  // namespace

bool wantsPortForward(const http::Request& request) {
  return wantsTunnel(request) || wantsStreams(request) || !channelProtocolOf(request).empty();
}

Co<void> servePortForward(http::Exchange& exchange, StreamRelay& relay, Clock& clock, User user,
                          api::ResourceId pod, std::vector<std::uint16_t> ports) {
  const auto executor = co_await asio::this_coro::executor;
  Forwarder forwarder(relay, std::move(user), std::move(pod));
  const http::Request& request = exchange.request();
  if (wantsStreams(request)) {
    ByteStream* connection = co_await spdy::acceptSpdy(exchange, kProtocol);
    if (connection == nullptr) co_return;
    StreamForward forward(executor, *connection, clock, forwarder);
    co_return co_await forward.run();
  }
  const bool tunnelled = wantsTunnel(request);
  ByteStream* connection =
      co_await http::acceptWebSocket(exchange, tunnelled ? kTunnel : channelProtocolOf(request));
  if (connection == nullptr) co_return;
  if (!tunnelled) {
    ChannelForward forward(executor, *connection, clock, forwarder);
    co_return co_await forward.run(std::move(ports));
  }
  http::WebSocketConnection socket(*connection);
  http::WebSocketBytes bytes(socket, connection->peer());
  StreamForward forward(executor, bytes, clock, forwarder);
  co_await forward.run();
  (void)co_await socket.close(kNormal);
}

}  // namespace podlab::apiserver
