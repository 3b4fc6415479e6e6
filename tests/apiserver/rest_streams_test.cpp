// exec, attach and port-forward as their clients speak them, with an agent that a test plays.
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

#include "agent_rpc.pb.h"

#include "api/codec_base64.hpp"
#include "tests/apiserver/rest_fixture.hpp"
#include "tests/transport/spdy_client.hpp"
#include "transport/tunnel.hpp"
#include "transport/websocket.hpp"

namespace podlab::apiserver {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using Kind = http::WebSocketReader::Kind;

/// Programs of the agent: what the command says is done with the input.
Co<Status> runProgram(rpc::Stream& stream) {
  auto first = co_await stream.receive();
  rpc::ExecRequest request;
  if (!first || !rpc::decode(*first, request)) co_return Status(Code::kBadRequest, "no request");
  const std::string& program = request.command(0);
  if (program == "fail") co_return Status(Code::kInternal, "no such program");
  rpc::ExecFrame out;
  if (program == "both") {
    out.set_stdout("out");
    out.set_stderr("err");
  }
  while (program == "cat" || program == "size") {
    auto message = co_await stream.receive();
    rpc::ExecFrame in;
    if (!message || !rpc::decode(*message, in)) co_return message.status();
    rpc::ExecFrame back;
    if (in.stdinend()) break;
    if (program == "cat") back.set_stdout(in.stdin());
    if (program == "size" && in.has_rows()) {
      out.set_stdout(std::to_string(in.rows()) + "x" + std::to_string(in.columns()));
      break;
    }
    Status sent = co_await stream.send(rpc::encode(back));
    if (!sent) co_return sent;
  }
  if (program == "stuck") {
    WaitQueue never;
    co_await never.wait();
  }
  out.set_exitcode(request.command_size() > 1 ? std::stoi(request.command(1)) : 0);
  co_return co_await stream.send(rpc::encode(out));
}

/// Port 80 sends back what it gets, port 81 says something and ends, port 82 takes nothing.
Co<Status> serveConnection(rpc::Stream& stream, std::uint32_t port) {
  if (port == 81) {
    Status sent = co_await stream.send("bye");
    if (sent) sent = co_await stream.send("");
    while (sent) {
      auto more = co_await stream.receive();
      if (!more || more->empty()) break;
    }
    co_return sent;
  }
  if (port == 82) {
    WaitQueue never;
    co_await never.wait();
  }
  if (port != 80)
    co_return Status(Code::kUnavailable, "port " + std::to_string(port) + ": refused");
  while (true) {
    auto piece = co_await stream.receive();
    if (!piece) co_return piece.status();
    const bool last = piece->empty();
    Status sent = co_await stream.send(std::move(*piece));
    if (last || !sent) co_return sent;
  }
}

class RestStreamsTest : public RestTest {
 protected:
  RestStreamsTest() {
    auto [near, far] = transport::makeMemoryPipe();
    auto serve = [this](rpc::Connection&, rpc::Stream& stream) { return agent(stream); };
    agent_ = rpc::makeConnection(io_.get_executor(), clock_, std::move(far), false, serve);
    auto server = rpc::makeConnection(io_.get_executor(), clock_, std::move(near), true, nullptr);
    serverEnd_ = server.get();
    relay_.connected("n1", std::move(server));
    EXPECT_TRUE(create(pod("a", "n1")).ok());
  }
  ~RestStreamsTest() override {
    if (client_) client_->close();
    clock_.advance(std::chrono::seconds(10));
    EXPECT_EQ(serving_, 0);  // nothing goes on without its client
    relay_.disconnected("n1", *serverEnd_);
    agent_.reset();
    clock_.advance(std::chrono::seconds(10));
  }

  Co<Status> agent(rpc::Stream& stream) {
    struct Count {
      explicit Count(int& serving) : all(serving) { ++all; }
      ~Count() { --all; }
      int& all;
    } count(serving_);
    if (stream.method() == "exec") co_return co_await runProgram(stream);
    auto first = co_await stream.receive();
    rpc::PortForwardRequest request;
    if (!first || !rpc::decode(*first, request)) co_return Status(Code::kBadRequest, "no request");
    if (request.has_port()) co_return co_await serveConnection(stream, request.port());
    while (!podGone_) co_await changed_.wait();
    co_return Status();
  }

  /// Connects, asks to upgrade and returns the head of the answer.
  std::string upgrade(const std::string& method, const std::string& target,
                      const std::string& headers) {
    auto dialed = run(dialer_->dial("api"));
    client_ = std::move(*dialed);
    send("" + method + " " + kPods + "/a/" + target +
         " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n" + headers + "\r\n");
    while (received_.find("\r\n\r\n") == std::string::npos && receive()) {
    }
    const auto end = received_.find("\r\n\r\n") + 4;
    const std::string head = received_.substr(0, end);
    received_.erase(0, end);
    return head;
  }
  std::string upgradeToSpdy(const std::string& target, const std::string& protocol) {
    return upgrade("POST", target,
                   "Content-Length: 0\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: " +
                       protocol + "\r\n");
  }
  std::string upgradeToWebSocket(const std::string& target, const std::string& protocol) {
    return upgrade("GET", target,
                   "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " +
                       protocol + "\r\n");
  }

  void send(std::string bytes) {
    auto write = [](ByteStream& to, std::string text) -> Co<Status> {
      co_return co_await to.write(std::as_bytes(std::span(text)));
    };
    EXPECT_TRUE(run(write(*client_, std::move(bytes))).ok());
  }
  /// A message of a WebSocket, with a mask of zeros.
  void message(Kind kind, std::string_view payload) {
    std::string frame = http::webSocketFrame(kind, payload);
    frame[1] = static_cast<char>(frame[1] | 0x80);
    send(frame.insert(payload.size() < 126 ? 2 : 4, 4, '\0'));
  }
  /// False when the server has ended the connection.
  bool receive() {
    auto read = [](ByteStream& from) -> Co<std::string> {
      std::string text(65536, '\0');
      auto count = co_await from.read(std::as_writable_bytes(std::span(text)));
      text.resize(count ? *count : 0);
      co_return text;
    };
    const std::string text = run(read(*client_));
    received_ += text;
    return !text.empty();
  }
  /// Takes frames until `done`, or the end of the connection.
  template <typename F>
  void spdyUntil(F done) {
    do {
      spdy_.take(std::exchange(received_, ""));
    } while (!done() && receive());
    spdy_.take(std::exchange(received_, ""));
  }
  std::string channel(std::initializer_list<const char*> types) {
    std::string all;
    for (const char* type : types) all += spdy_.open({{"streamtype", type}});
    return all;
  }
  /// The two streams of a connection: 1 and 3, 5 and 7 ...
  std::string connection(const std::string& port, const std::string& id) {
    return spdy_.open({{"streamtype", "error"}, {"port", port}, {"requestid", id}}, true) +
           spdy_.open({{"streamtype", "data"}, {"port", port}, {"requestid", id}});
  }
  void podGone() {
    podGone_ = true;
    changed_.notifyAll();
  }

  std::shared_ptr<rpc::Connection> agent_;
  rpc::Connection* serverEnd_ = nullptr;
  int serving_ = 0;
  bool podGone_ = false;
  WaitQueue changed_;
  std::unique_ptr<ByteStream> client_;
  std::string received_;
  spdy::Client spdy_;
};

constexpr const char* kAll = "&stdin=true&stdout=true&stderr=true";

TEST_F(RestStreamsTest, ExecOverSpdy) {
  const std::string head =
      upgradeToSpdy("exec?command=both&command=3&stdout=true&stderr=true",
                    "v5.channel.k8s.io\r\nX-Stream-Protocol-Version: v4.channel.k8s.io");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(head, HasSubstr("Upgrade: SPDY/3.1\r\n"));
  EXPECT_THAT(head, HasSubstr("X-Stream-Protocol-Version: v4.channel.k8s.io\r\n"));
  send(channel({"error", "stdout", "stderr"}));
  spdyUntil([&] { return spdy_.ended.size() == 3; });
  EXPECT_EQ(spdy_.data[3], "out");
  EXPECT_EQ(spdy_.data[5], "err");
  const Json end = Json::parse(spdy_.data[1]);
  EXPECT_EQ(end["reason"], "NonZeroExitCode");
  EXPECT_EQ(end["details"]["causes"][0]["message"], "3");
}

TEST_F(RestStreamsTest, InputOverSpdyEnds) {
  upgradeToSpdy(std::string("exec?command=cat") + kAll, "v4.channel.k8s.io");
  send(channel({"error", "stdin", "stdout", "stderr"}) + spdy::dataFrame(3, "ab\n"));
  spdyUntil([&] { return spdy_.data[5] == "ab\n"; });
  send(spdy::dataFrame(3, "more", true));
  spdyUntil([&] { return spdy_.ended.contains(1) && spdy_.ended.contains(5); });
  EXPECT_EQ(spdy_.data[5], "ab\nmore");
  EXPECT_EQ(Json::parse(spdy_.data[1])["status"], "Success");
}

TEST_F(RestStreamsTest, SizesOverSpdy) {
  upgradeToSpdy("exec?command=size&stdin=true&stdout=true&tty=true", "v4.channel.k8s.io");
  send(channel({"error", "stdin", "stdout", "resize"}) + spdy::dataFrame(7, "{\"Width\":101,") +
       spdy::dataFrame(7, "\"Height\":33}\n"));
  spdyUntil([&] { return spdy_.ended.contains(5); });
  EXPECT_EQ(spdy_.data[5], "33x101");
}

TEST_F(RestStreamsTest, OldProtocolsTellFailuresAsText) {
  upgradeToSpdy("exec?command=both&command=3&stdout=true", "channel.k8s.io");
  send(channel({"error", "stdout"}));
  spdyUntil([&] { return spdy_.ended.contains(1); });
  EXPECT_EQ(spdy_.data[1], "command terminated with non-zero exit code: exit status 3");
}

TEST_F(RestStreamsTest, WhatCannotBeIsToldBeforeTheUpgrade) {
  ASSERT_TRUE(create(pod("nowhere")).ok());
  ASSERT_TRUE(create(pod("lost", "n2")).ok());
  const std::string pods = kPods;
  EXPECT_THAT(ask("POST", pods + "/a/portforward").body, HasSubstr("Upgrade request required"));
  EXPECT_EQ(ask("POST", pods + "/none/portforward").code, 404);
  EXPECT_THAT(ask("POST", pods + "/nowhere/portforward").body, HasSubstr("have a host assigned"));
  EXPECT_EQ(ask("POST", pods + "/lost/portforward").code, 503);
  EXPECT_THAT(ask("GET", pods + "/a/portforward?ports=80,x").body, HasSubstr("is not a port"));
  EXPECT_EQ(ask("POST", "/api/v1/nodes/n1/portforward").code, 404);
  EXPECT_THAT(upgradeToSpdy("exec?command=true&stdout=true", "v9.channel.k8s.io"),
              testing::AllOf(StartsWith("HTTP/1.1 403"),
                             HasSubstr("X-Accepted-Stream-Protocol-Versions: v4.channel.k8s.io")));
  client_->close();
  received_.clear();
  identity_ = {"eve", {}};
  EXPECT_THAT(upgradeToSpdy("portforward", "portforward.k8s.io"), StartsWith("HTTP/1.1 403"));
}

TEST_F(RestStreamsTest, AClientThatOpensNoStreamsIsGivenUp) {
  upgradeToSpdy("exec?command=cat&stdout=true", "v4.channel.k8s.io");
  send(channel({"stdout"}));
  spdyUntil([] { return false; });  // in virtual time
  EXPECT_EQ(serving_, 0);
}

TEST_F(RestStreamsTest, AClientKilledEndsItsProgram) {
  upgradeToSpdy("exec?command=stuck&stdin=true", "v4.channel.k8s.io");
  // More than anybody takes: nothing is read of the connection any more.
  std::string flood = channel({"error", "stdin"});
  for (int i = 0; i < 8; ++i) flood += spdy::dataFrame(3, std::string(60'000, 'x'));
  send(flood);
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(serving_, 1);
  client_->close();
  clock_.advance(std::chrono::seconds(10));
  EXPECT_EQ(serving_, 0);
}

TEST_F(RestStreamsTest, ExecOverAWebSocket) {
  const std::string head = upgradeToWebSocket("exec?command=fail&stdout=true", "v5.channel.k8s.io");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 101 Switching Protocols\r\n"));
  EXPECT_THAT(head, HasSubstr("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
  while (receive()) {
  }
  EXPECT_THAT(received_, HasSubstr("\x03{\"code\":500"));
  EXPECT_THAT(received_, testing::EndsWith(http::webSocketClose(1000)));
}

TEST_F(RestStreamsTest, ExecOverBase64) {
  EXPECT_THAT(
      upgradeToWebSocket(std::string("exec?command=cat") + kAll, "v4.base64.channel.k8s.io"),
      HasSubstr("Sec-WebSocket-Protocol: v4.base64.channel.k8s.io\r\n"));
  message(Kind::kText, "0" + api::codec::base64Encode("hello"));
  const std::string wanted = "1" + api::codec::base64Encode("hello");
  while (received_.find(wanted) == std::string::npos && receive()) {
  }
  EXPECT_THAT(received_, HasSubstr(http::webSocketFrame(Kind::kText, wanted)));
  message(Kind::kClose, "");
}

TEST_F(RestStreamsTest, ForwardsManyConnections) {
  EXPECT_THAT(upgradeToSpdy("portforward", "portforward.k8s.io"),
              HasSubstr("X-Stream-Protocol-Version: portforward.k8s.io\r\n"));
  std::string all;
  for (int i = 0; i < 20; ++i) all += connection("80", std::to_string(i));
  for (std::uint32_t i = 0; i < 20; ++i)
    all += spdy::dataFrame(4 * i + 3, "data of " + std::to_string(i), true);
  send(all);
  spdyUntil([&] { return spdy_.ended.size() == 40; });
  for (std::uint32_t i = 0; i < 20; ++i) {
    EXPECT_EQ(spdy_.data[4 * i + 3], "data of " + std::to_string(i));
    EXPECT_EQ(spdy_.data[4 * i + 1], "");
  }
  // Only what waits for the pod's end is left.
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(serving_, 1);
}

TEST_F(RestStreamsTest, ARefusedPortIsToldAndOthersGoOn) {
  upgradeToSpdy("portforward", "portforward.k8s.io");
  send(connection("9", "0") + connection("80", "1") + spdy::dataFrame(7, "still", true));
  spdyUntil([&] { return spdy_.ended.size() == 4; });
  EXPECT_EQ(spdy_.data[1], "port 9: refused");
  EXPECT_EQ(spdy_.data[7], "still");
  EXPECT_EQ(spdy_.data[5], "");
}

TEST_F(RestStreamsTest, ThePodsEndEndsBothStreams) {
  // kubectl waits for the end of the error stream before it closes its side.
  upgradeToSpdy("portforward", "portforward.k8s.io");
  send(connection("81", "0"));
  spdyUntil([&] { return spdy_.ended.size() == 2; });
  EXPECT_EQ(spdy_.data[3], "bye");
  // Newer ones take the stream back then: that is no failure.
  send(spdy::rstFrame(3, spdy::Reset::kCancel));
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(serving_, 1);
}

TEST_F(RestStreamsTest, ForwardingEndsWithThePod) {
  upgradeToSpdy("portforward", "portforward.k8s.io");
  send(connection("80", "0"));
  spdyUntil([&] { return spdy_.replied.size() == 2; });
  podGone();
  spdyUntil([] { return false; });  // the connection ends
  EXPECT_EQ(serving_, 0);
}

TEST_F(RestStreamsTest, AStuckPortEndsWithItsClient) {
  upgradeToSpdy("portforward", "portforward.k8s.io");
  std::string flood = connection("82", "0");
  for (int i = 0; i < 20; ++i) flood += spdy::dataFrame(3, std::string(30'000, 'x'));
  auto write = [](ByteStream& to, std::string text) -> Co<void> {
    (void)co_await to.write(std::as_bytes(std::span(text)));
  };
  asio::co_spawn(io_, write(*client_, flood), asio::detached);
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(serving_, 2);
  client_->close();
  clock_.advance(std::chrono::seconds(10));
  EXPECT_EQ(serving_, 0);
}

TEST_F(RestStreamsTest, ForwardsThroughATunnel) {
  EXPECT_THAT(upgradeToWebSocket("portforward", "SPDY/3.1+portforward.k8s.io"),
              HasSubstr("Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n"));
  const std::string bytes = connection("80", "0") + spdy::dataFrame(3, "through", true);
  // However the messages are cut.
  for (std::size_t at = 0; at < bytes.size(); at += 7) message(Kind::kBinary, bytes.substr(at, 7));
  message(Kind::kBinary, "");
  while (spdy_.ended.size() < 2) {
    while (received_.size() < 2 ||
           received_.size() < 2 + static_cast<std::size_t>(received_[1] & 0x7f)) {
      ASSERT_TRUE(receive());
    }
    const auto length = static_cast<std::size_t>(received_[1] & 0x7f);
    ASSERT_LT(length, 126U);
    spdy_.take(std::string_view(received_).substr(2, length));
    received_.erase(0, 2 + length);
  }
  EXPECT_EQ(spdy_.data[3], "through");
  message(Kind::kClose, "");
  EXPECT_FALSE(receive() && receive() && receive());
}

TEST_F(RestStreamsTest, ForwardsOverChannels) {
  upgradeToWebSocket("portforward?ports=80&ports=9", "v4.channel.k8s.io");
  message(Kind::kBinary, std::string("\0hello", 6));
  const auto frame = [](const std::string& payload) {
    return http::webSocketFrame(Kind::kBinary, payload);
  };
  const std::string wanted = frame(std::string("\0hello", 6));
  const std::string refused = frame("\3port 9: refused");
  while ((received_.find(wanted) == std::string::npos ||
          received_.find(refused) == std::string::npos) &&
         receive()) {
  }
  EXPECT_THAT(received_, HasSubstr(wanted));
  EXPECT_THAT(received_, HasSubstr(refused));
  for (const char channel : {'\0', '\1'})
    EXPECT_THAT(received_, HasSubstr(frame(std::string{channel, 80, 0})));
  for (const char channel : {'\2', '\3'})
    EXPECT_THAT(received_, HasSubstr(frame(std::string{channel, 9, 0})));
  podGone();
  while (receive()) {
  }
  EXPECT_THAT(received_, HasSubstr(http::webSocketClose(1000)));
}

TEST_F(RestStreamsTest, ChannelsOfV5EndOneByOne) {
  upgradeToWebSocket("portforward?ports=80", "v5.channel.k8s.io,v4.channel.k8s.io");
  message(Kind::kBinary, std::string("\0hello", 6));
  message(Kind::kBinary, std::string("\xff\0", 2));
  while (receive()) {
  }
  EXPECT_THAT(received_, HasSubstr(http::webSocketFrame(Kind::kBinary, std::string("\0hello", 6))));
  EXPECT_THAT(received_, testing::EndsWith(http::webSocketClose(1000)));
}

TEST_F(RestStreamsTest, TheServersEndEndsAll) {
  upgradeToSpdy("exec?command=stuck&stdin=true", "v4.channel.k8s.io");
  send(channel({"error", "stdin"}));
  auto exec = std::move(client_);
  upgradeToSpdy("portforward", "portforward.k8s.io");
  spdy::Client other;
  send(other.open({{"streamtype", "error"}, {"port", "82"}, {"requestid", "0"}}, true) +
       other.open({{"streamtype", "data"}, {"port", "82"}, {"requestid", "0"}}));
  auto forward = std::move(client_);
  upgradeToWebSocket("portforward?ports=82", "v4.channel.k8s.io");
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(serving_, 5);
  run(rest_.stop());
  EXPECT_EQ(serving_, 0);
}

}  // namespace
}  // namespace podlab::apiserver
