#include "apiserver/rest_program.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <asio/this_coro.hpp>

#include "agent_rpc.pb.h"

#include "api/codec.hpp"
#include "api/object.hpp"
#include "apiserver/local_stream.hpp"
#include "common/json.hpp"
#include "transport/websocket.hpp"

namespace podlab::apiserver {
namespace {

/// The first byte of each message.
enum Channel : unsigned char { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4 };
/// Of v5: the byte behind it names the channel whose sender has ended.
constexpr unsigned char kEndOfChannel = 255;

constexpr std::size_t kMaxPayload = 32UL << 10;
constexpr std::uint16_t kNormal = 1000;
/// How often the client is asked whether it is there. While the program takes no input, nothing is
/// read of the client, not even its end.
constexpr Duration kPingPeriod = std::chrono::seconds(5);
/// How long the client has to answer the close.
constexpr Duration kCloseTimeout = std::chrono::seconds(1);

metav1::Status exitStatus(int code) {
  metav1::Status status;
  status.mutable_metadata();
  status.set_status(code == 0 ? "Success" : "Failure");
  if (code == 0) return status;
  status.set_reason("NonZeroExitCode");
  status.set_message("command terminated with non-zero exit code: exit status " +
                     std::to_string(code));
  auto& cause = *status.mutable_details()->add_causes();
  cause.set_reason("ExitCode");
  cause.set_message(std::to_string(code));
  return status;
}

metav1::Status failure(const Status& why) {
  metav1::Status status;
  status.mutable_metadata();
  status.set_status("Failure");
  status.set_reason("InternalError");
  status.set_code(500);
  status.set_message(why.message());
  status.mutable_details()->add_causes()->set_message(why.message());
  return status;
}

/// {"Width":101,"Height":33}
bool readSize(std::string_view json, rpc::ExecFrame& frame) {
  JsonReader reader(json);
  std::string_view key;
  if (!reader.beginObject()) return false;
  while (reader.nextKey(&key)) {
    const bool width = key == "Width";
    const bool height = key == "Height";
    std::string_view text;
    if (!width && !height) {
      reader.skip();
      continue;
    }
    if (!reader.readNumber(&text)) return false;
    const auto number =
        static_cast<std::uint32_t>(std::strtoul(std::string(text).c_str(), nullptr, 10));
    if (width) frame.set_columns(number);
    if (height) frame.set_rows(number);
  }
  return reader.ok() && frame.rows() > 0 && frame.columns() > 0;
}

class Session {
 public:
  Session(ByteStream& client, rpc::Stream& program) : client_(client), program_(program) {}

  /// Until the client has gone or closed.
  Co<void> takeInput() {
    http::WebSocketReader reader;
    std::array<std::byte, 16UL << 10> buffer;
    while (!clientEnded_) {
      auto count = co_await client_.read(buffer);
      if (!count) break;
      for (auto& message : reader.feed({reinterpret_cast<const char*>(buffer.data()), *count})) {
        if (!(co_await handle(std::move(message)))) break;
      }
      if (const auto fault = reader.fault()) {
        (void)co_await write(http::webSocketClose(*fault));
        break;
      }
    }
    clientEnded_ = true;
    changed_.notifyAll();
  }

  /// Until the program has ended: then its end is on its way.
  Co<void> passOutput() {
    metav1::Status end;
    while (end.status().empty()) {
      auto message = co_await program_.receive();
      if (!message) {
        const bool clean = message.status().is(Code::kEndOfStream);
        end = clean ? exitStatus(0) : failure(message.status());
        break;
      }
      rpc::ExecFrame frame;
      if (Status read = rpc::decode(*message, frame); !read) {
        end = failure(read);
        break;
      }
      co_await pass(kStdout, frame.stdout());
      co_await pass(kStderr, frame.stderr());
      if (frame.has_exitcode()) end = exitStatus(frame.exitcode());
    }
    co_await pass(kError, api::toJson(end));
    (void)co_await write(http::webSocketClose(kNormal));
    programEnded_ = true;
    changed_.notifyAll();
  }

  /// Until the client can be reached no more.
  Co<void> ping(Clock& clock) {
    Status reached;
    while (reached.ok()) {
      co_await clock.sleepFor(kPingPeriod);
      reached = co_await write(http::webSocketFrame(http::WebSocketReader::Kind::kPing, ""));
    }
    clientEnded_ = true;
    changed_.notifyAll();
  }

  Co<void> untilOver(Clock& clock) {
    while (!programEnded_ && !clientEnded_) co_await changed_.wait();
    // The client answers the close; cut off before, it may lose what it has not read yet.
    const MonoTime deadline = clock.now() + kCloseTimeout;
    while (!clientEnded_ && co_await changed_.waitUntil(clock, deadline)) {
    }
  }

 private:
  /// False when nothing more is to be read.
  Co<bool> handle(http::WebSocketReader::Message message) {
    using Kind = http::WebSocketReader::Kind;
    switch (message.kind) {
      case Kind::kPing:
        co_return (co_await write(http::webSocketFrame(Kind::kPong, message.payload))).ok();
      case Kind::kPong:
        co_return true;
      case Kind::kBinary:
        break;
      default:
        clientEnded_ = true;
        co_return false;
    }
    if (message.payload.empty()) co_return true;
    const auto channel = static_cast<unsigned char>(message.payload[0]);
    rpc::ExecFrame frame;
    if (channel == kStdin && message.payload.size() > 1) {
      frame.set_stdin(message.payload.substr(1));
    } else if (channel == kEndOfChannel && message.payload.size() == 2 &&
               message.payload[1] == kStdin) {
      frame.set_stdinend(true);
    } else if (channel != kResize ||
               !readSize(std::string_view(message.payload).substr(1), frame)) {
      co_return true;
    }
    co_return (co_await program_.send(rpc::encode(frame))).ok();
  }

  Co<void> pass(Channel channel, std::string_view data) {
    while (!data.empty()) {
      std::string payload(1, static_cast<char>(channel));
      payload += data.substr(0, kMaxPayload);
      data.remove_prefix(payload.size() - 1);
      (void)co_await write(http::webSocketFrame(http::WebSocketReader::Kind::kBinary, payload));
    }
  }

  /// Output and pongs come from two tasks: one after the other.
  Co<Status> write(std::string frame) {
    while (writing_) co_await written_.wait();
    writing_ = true;
    Status status = co_await client_.write(std::as_bytes(std::span(frame)));
    writing_ = false;
    written_.notifyOne();
    co_return status;
  }

  ByteStream& client_;
  rpc::Stream& program_;
  bool clientEnded_ = false;
  bool programEnded_ = false;
  WaitQueue changed_;
  bool writing_ = false;
  WaitQueue written_;
};

}  // namespace

std::string channelProtocolOf(const http::Request& request) {
  if (!http::wantsWebSocket(request)) return "";
  for (const char* protocol : {"v5.channel.k8s.io", "v4.channel.k8s.io"}) {
    if (request.headerHas("sec-websocket-protocol", protocol)) return protocol;
  }
  return "";
}

Co<void> serveProgram(http::Exchange& exchange, StreamRelay& relay, Clock& clock, User user,
                      ProgramRequest program) {
  const auto executor = co_await asio::this_coro::executor;
  auto [ours, theirs] = makeLocalStream(program.method);
  LocalService relaying(
      executor, [&relay, &user](rpc::Stream& stream) { return relay.serve(user, stream); },
      std::move(theirs));
  (void)co_await ours->send(std::move(program.message));
  const std::string* key = exchange.request().header("sec-websocket-key");
  http::Headers headers{{"Upgrade", "websocket"},
                        {"Connection", "Upgrade"},
                        {"Sec-WebSocket-Accept", http::webSocketAccept(*key)},
                        {"Sec-WebSocket-Protocol", channelProtocolOf(exchange.request())}};
  if (ByteStream* client = co_await exchange.upgrade(std::move(headers))) {
    Session session(*client, *ours);
    TaskGroup tasks(executor);
    tasks.spawn("program_input", session.takeInput());
    tasks.spawn("program_output", session.passOutput());
    tasks.spawn("program_ping", session.ping(clock));
    co_await session.untilOver(clock);
    co_await tasks.cancelAndJoin();
  }
  co_await relaying.stop();
}

}  // namespace podlab::apiserver
