#include "transport/websocket_connection.hpp"

#include "sim_fixture.hpp"

namespace podlab::http {
namespace {

using Kind = WebSocketReader::Kind;

/// A frame as a client sends it, with a mask of zeros.
std::string fromClient(Kind kind, std::string_view payload) {
  std::string frame = webSocketFrame(kind, payload);
  frame[1] = static_cast<char>(frame[1] | 0x80);
  const std::size_t head = payload.size() < 126 ? 2 : 4;
  return frame.insert(head, 4, '\0');
}

class WebSocketConnectionTest : public transport::SimTest {
 protected:
  WebSocketConnectionTest() { std::tie(client_, served_) = transport::makeMemoryPipe(); }

  void send(std::string bytes) {
    auto write = [](ByteStream& to, std::string text) -> Co<Status> {
      co_return co_await to.write(std::as_bytes(std::span(text)));
    };
    EXPECT_TRUE(value(write(*client_, std::move(bytes))).ok());
  }
  static Co<std::string> read(ByteStream& from) {
    std::string text(4096, '\0');
    auto count = co_await from.read(std::as_writable_bytes(std::span(text)));
    text.resize(count ? *count : 0);
    co_return text;
  }

  std::unique_ptr<ByteStream> client_, served_;
};

TEST_F(WebSocketConnectionTest, AnswersPingsAndEndsWithTheClient) {
  WebSocketConnection socket(*served_);
  send(fromClient(Kind::kPing, "id") + fromClient(Kind::kPong, "") +
       fromClient(Kind::kText, "hello") + fromClient(Kind::kClose, ""));
  const auto message = value(socket.receive());
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->payload, "hello");
  EXPECT_TRUE(value(socket.receive()).status().is(Code::kEndOfStream));
  EXPECT_EQ(value(read(*client_)), webSocketFrame(Kind::kPong, "id"));
}

TEST_F(WebSocketConnectionTest, TellsOfABreach) {
  WebSocketConnection socket(*served_);
  send(webSocketFrame(Kind::kText, "not masked"));
  EXPECT_FALSE(value(socket.receive()).ok());
  EXPECT_EQ(value(read(*client_)), webSocketClose(1002));
}

TEST_F(WebSocketConnectionTest, BytesAreCutAnywhere) {
  WebSocketConnection socket(*served_);
  WebSocketBytes bytes(socket, "client");
  send(fromClient(Kind::kBinary, "a") + fromClient(Kind::kBinary, "") +
       fromClient(Kind::kBinary, "bc"));
  EXPECT_EQ(value(read(bytes)), "a");
  EXPECT_EQ(value(read(bytes)), "bc");
  auto write = [](ByteStream& to) -> Co<Status> {
    const std::string text = "back";
    co_return co_await to.write(std::as_bytes(std::span(text)));
  };
  EXPECT_TRUE(value(write(bytes)).ok());
  EXPECT_EQ(value(read(*client_)), webSocketFrame(Kind::kBinary, "back"));
  client_->close();
  EXPECT_EQ(value(read(bytes)), "");
}

TEST_F(WebSocketConnectionTest, PingsUntilTheClientHasGone) {
  WebSocketConnection socket(*served_);
  bool gone = false;
  auto ping = [](WebSocketConnection& own, Clock& clock, bool& over) -> Co<void> {
    co_await own.pingUntilGone(clock);
    over = true;
  };
  background(ping(socket, clock_, gone));
  clock_.advance(std::chrono::seconds(11));
  EXPECT_EQ(value(read(*client_)),
            webSocketFrame(Kind::kPing, "") + webSocketFrame(Kind::kPing, ""));
  EXPECT_FALSE(gone);
  client_->close();
  clock_.advance(std::chrono::seconds(6));
  EXPECT_TRUE(gone);
}

}  // namespace
}  // namespace podlab::http
