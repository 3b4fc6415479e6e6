#include <utility>

#include "api/codec.hpp"
#include "api/codec_base64.hpp"
#include "apiserver/program_client.hpp"

namespace podlab::apiserver {
namespace {

/// The first byte of each message.
enum Channel : unsigned char { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4 };
/// Of v5: the byte behind it names the channel whose sender has ended.
constexpr unsigned char kEndOfChannel = 255;

constexpr const char* kBase64 = "v4.base64.channel.k8s.io";
constexpr std::size_t kMaxPayload = 32UL << 10;
constexpr std::uint16_t kNormal = 1000;

class ChannelClient final : public ProgramClient {
 public:
  ChannelClient(ByteStream& connection, Clock& clock, bool base64)
      : socket_(connection), clock_(clock), base64_(base64) {}

  void takeInput(TaskGroup& tasks, rpc::Stream& program, std::function<void()> gone) override {
    tasks.spawn("program_input", receiveAll(program, gone));
    tasks.spawn("program_ping", ping(std::move(gone)));
  }

  Co<void> pass(Output output, std::string_view data) override {
    co_await send(output == Output::kStdout ? kStdout : kStderr, data);
  }

  Co<void> finish(metav1::Status end) override {
    const std::string text = api::toJson(end);
    co_await send(kError, text);
    (void)co_await socket_.close(kNormal);
  }

 private:
  using Kind = http::WebSocketReader::Kind;

  Co<void> ping(std::function<void()> gone) {
    co_await socket_.pingUntilGone(clock_);
    gone();
  }

  Co<void> receiveAll(rpc::Stream& program, std::function<void()> gone) {
    while (true) {
      auto message = co_await socket_.receive();
      // With base64 all is text, without it nothing.
      if (!message || (message->kind == Kind::kText) != base64_) break;
      rpc::ExecFrame frame;
      if (!read(std::move(message->payload), frame)) continue;
      if (!(co_await program.send(rpc::encode(frame)))) break;
    }
    gone();
  }

  /// False when there is nothing for the program.
  bool read(std::string payload, rpc::ExecFrame& frame) const {
    if (payload.empty()) return false;
    if (base64_) {
      auto data = api::codec::base64Decode(std::string_view(payload).substr(1));
      if (!data) return false;
      payload = static_cast<char>(payload[0] - '0') + *data;
    }
    const auto channel = static_cast<unsigned char>(payload[0]);
    if (channel == kResize) return readSize(std::string_view(payload).substr(1), frame);
    if (channel == kStdin && payload.size() > 1) {
      frame.set_stdin(payload.substr(1));
      return true;
    }
    frame.set_stdinend(true);
    return channel == kEndOfChannel && payload.size() == 2 && payload[1] == kStdin;
  }

  Co<void> send(Channel channel, std::string_view data) {
    while (!data.empty()) {
      const std::string_view piece = data.substr(0, kMaxPayload);
      data.remove_prefix(piece.size());
      std::string payload(1, static_cast<char>(base64_ ? '0' + channel : channel));
      payload += base64_ ? api::codec::base64Encode(piece) : piece;
      (void)co_await socket_.send(base64_ ? Kind::kText : Kind::kBinary, payload);
    }
  }

  http::WebSocketConnection socket_;
  Clock& clock_;
  bool base64_;
};

}  // namespace

std::string channelProtocolOf(const http::Request& request) {
  if (!http::wantsWebSocket(request)) return "";
  for (const char* protocol : {"v5.channel.k8s.io", "v4.channel.k8s.io", kBase64}) {
    if (request.headerHas("sec-websocket-protocol", protocol)) return protocol;
  }
  return "";
}

std::unique_ptr<ProgramClient> makeChannelClient(ByteStream& connection, Clock& clock,
                                                 const std::string& protocol) {
  return std::make_unique<ChannelClient>(connection, clock, protocol == kBase64);
}

}  // namespace podlab::apiserver
