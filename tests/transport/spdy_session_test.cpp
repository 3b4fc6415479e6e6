#include "transport/spdy_session.hpp"

#include "sim_fixture.hpp"
#include "spdy_client.hpp"

namespace podlab::spdy {
namespace {

using transport::SimTest;

/// A client whose bytes the tests write, and a session that serves it.
class SpdySessionTest : public SimTest {
 protected:
  void start(SessionOptions options = {}, std::size_t pipe = 64UL << 10) {
    auto [near, far] = transport::makeMemoryPipe(pipe);
    wire_ = std::move(near);
    served_ = std::move(far);
    session_ = std::make_unique<Session>(io_.get_executor(), *served_, clock_, options);
  }
  ~SpdySessionTest() override {
    if (session_) run(session_->stop());
  }

  void send(const std::string& bytes) { EXPECT_TRUE(value(write(*wire_, bytes)).ok()); }
  static Co<Status> write(ByteStream& stream, std::string bytes) {
    co_return co_await stream.write(std::as_bytes(std::span(bytes)));
  }
  static Co<std::string> read(ByteStream& stream, std::size_t most = 4096) {
    std::string text(most, '\0');
    auto count = co_await stream.read(std::as_writable_bytes(std::span(text)));
    text.resize(count ? *count : 0);
    co_return text;
  }
  std::unique_ptr<Stream> accept() {
    auto stream = value(session_->accept());
    return stream ? std::move(*stream) : nullptr;
  }
  /// Lets all that has been sent arrive.
  void settle() { clock_.advance(std::chrono::milliseconds(1)); }
  /// What the session has sent.
  void receive() {
    run(session_->flush());
    client_.take(value(read(*wire_, 1UL << 20)));
  }

  Client client_;
  std::unique_ptr<ByteStream> wire_, served_;
  std::unique_ptr<Session> session_;
};

TEST_F(SpdySessionTest, StreamsCarryBothWays) {
  start();
  send(client_.open({{"streamtype", "error"}}, true) + client_.open({{"streamtype", "stdin"}}));
  auto error = accept();
  auto input = accept();
  ASSERT_TRUE(error && input);
  EXPECT_EQ(error->header("streamtype"), "error");
  EXPECT_EQ(input->header("streamtype"), "stdin");
  EXPECT_EQ(input->header("port"), "");
  EXPECT_EQ(value(read(*error)), "");  // ended by the client at once

  send(dataFrame(3, "ab\n"));
  EXPECT_EQ(value(read(*input)), "ab\n");
  send(dataFrame(3, "last", true));
  EXPECT_EQ(value(read(*input)), "last");
  EXPECT_EQ(value(read(*input)), "");

  EXPECT_TRUE(value(write(*error, "failed")).ok());
  error->finishWriting();
  input->finishWriting();
  receive();
  EXPECT_TRUE(client_.replied[1] && client_.replied[3]);
  EXPECT_EQ(client_.data[1], "failed");
  EXPECT_TRUE(client_.ended[1] && client_.ended[3]);
  EXPECT_EQ(value(write(*error, "more")).code(), Code::kCanceled);
}

TEST_F(SpdySessionTest, LargeWritesAreCutAndWaitForTheClient) {
  start({}, 4096);
  send(client_.open({{"streamtype", "stdout"}}));
  auto output = accept();
  std::string text(1'000'000, 'x');
  text += "end";
  bool written = false;
  auto writeAll = [](ByteStream& to, std::string data, bool& done) -> Co<void> {
    done = (co_await write(to, std::move(data))).ok();
    to.finishWriting();
  };
  background(writeAll(*output, text, written));
  settle();
  EXPECT_FALSE(written);  // nobody reads
  while (!client_.ended[1]) client_.take(value(read(*wire_)));
  EXPECT_TRUE(written);
  EXPECT_EQ(client_.data[1], text);
}

TEST_F(SpdySessionTest, WhatIsNotReadStopsTheConnection) {
  SessionOptions options;
  options.buffer = 1000;
  start(options, 4096);
  send(client_.open({{"streamtype", "data"}}));
  auto slow = accept();
  bool sent = false;
  auto flood = [](ByteStream& to, bool& done) -> Co<void> {
    for (int i = 0; i < 100; ++i) {
      std::string frame = dataFrame(1, std::string(1000, 'x'));
      if (!(co_await write(to, std::move(frame)))) co_return;
    }
    done = true;
  };
  background(flood(*wire_, sent));
  settle();
  EXPECT_FALSE(sent);
  std::size_t total = 0;
  while (total < 100'000) total += value(read(*slow)).size();
  EXPECT_TRUE(sent);

  // A stream that nobody wants any more takes and forgets, so that others go on.
  slow.reset();
  sent = false;
  background(flood(*wire_, sent));
  settle();
  EXPECT_TRUE(sent);
  send(client_.open({{"streamtype", "data"}}));
  EXPECT_TRUE(accept());
}

TEST_F(SpdySessionTest, AnswersPingsAndAsksItself) {
  SessionOptions options;
  options.ping = std::chrono::seconds(5);
  start(options);
  send(controlFrame(Type::kPing, number32(7)) + controlFrame(Type::kSettings, number32(0)) +
       controlFrame(Type::kWindowUpdate, number32(1) + number32(99)));
  settle();
  receive();
  ASSERT_EQ(client_.control.size(), 1U);
  EXPECT_EQ(readNumber32(client_.control[0].payload), 7U);
  clock_.advance(std::chrono::seconds(6));
  receive();
  ASSERT_EQ(client_.control.size(), 2U);
  EXPECT_EQ(*client_.control[1].type, Type::kPing);
  EXPECT_EQ(readNumber32(client_.control[1].payload) % 2, 0U);
  // Its answer is not answered.
  send(controlFrame(Type::kPing, client_.control[1].payload) +
       controlFrame(Type::kPing, number32(9)));
  settle();
  receive();
  ASSERT_EQ(client_.control.size(), 3U);
  EXPECT_EQ(readNumber32(client_.control[2].payload), 9U);
}

TEST_F(SpdySessionTest, RefusesTooManyStreams) {
  SessionOptions options;
  options.maxStreams = 2;
  start(options);
  std::string opened;
  for (int i = 0; i < 4; ++i) opened += client_.open({{"streamtype", "data"}});
  send(opened);
  settle();
  receive();
  EXPECT_EQ(client_.replied.size(), 2U);
  const std::map<std::uint32_t, std::uint32_t> refused{{5, 3}, {7, 3}};
  EXPECT_EQ(client_.resets, refused);
  // When one has ended on both sides, there is room again.
  auto first = accept();
  first->finishWriting();
  send(dataFrame(1, "", true) + client_.open({{"streamtype", "data"}}));
  settle();
  receive();
  EXPECT_TRUE(client_.replied[9]);
  // Streams that were taken back before anybody saw them count as well.
  std::string more = rstFrame(3, Reset::kCancel) + rstFrame(9, Reset::kCancel);
  for (std::uint32_t id = 11; id < 31; id += 2)
    more += client_.open({{"streamtype", "data"}}) + rstFrame(id, Reset::kCancel);
  send(more);
  settle();
  receive();
  EXPECT_TRUE(client_.resets.contains(29));
}

TEST_F(SpdySessionTest, AResetEndsAStreamAtOnce) {
  start();
  send(client_.open({{"streamtype", "data"}}) + client_.open({{"streamtype", "data"}}));
  auto first = accept();
  auto second = accept();
  send(rstFrame(1, Reset::kCancel));
  EXPECT_EQ(value(read(*first)), "");
  EXPECT_TRUE(first->isReset());
  EXPECT_FALSE(value(write(*first, "x")).ok());
  send(dataFrame(1, "late") + dataFrame(3, "goes on"));
  EXPECT_EQ(value(read(*second)), "goes on");
}

TEST_F(SpdySessionTest, EndsWithTheClient) {
  start();
  send(client_.open({{"streamtype", "data"}}));
  auto stream = accept();
  EXPECT_FALSE(value(session_->waitUntilEnded(clock_.now() + std::chrono::seconds(1))));
  wire_->close();
  EXPECT_EQ(value(read(*stream)), "");
  EXPECT_FALSE(value(write(*stream, "x")).ok());
  EXPECT_EQ(accept(), nullptr);
  EXPECT_TRUE(value(session_->waitUntilEnded(clock_.now() + std::chrono::seconds(1))));
  run(session_->stop());
  session_.reset();
  EXPECT_FALSE(value(write(*stream, "x")).ok());  // outlives the session
}

TEST_F(SpdySessionTest, EndsWhenAWriteFailsThoughNothingIsRead) {
  SessionOptions options;
  options.buffer = 10;
  start(options);
  send(client_.open({{"streamtype", "data"}}) + dataFrame(1, std::string(1000, 'x')) +
       dataFrame(1, std::string(1000, 'x')));
  auto stream = accept();
  settle();
  wire_->close();
  clock_.advance(std::chrono::seconds(6));
  EXPECT_TRUE(value(session_->waitUntilEnded(clock_.now())));
}

TEST_F(SpdySessionTest, EndsAtABreachOfTheProtocol) {
  const std::string cases[] = {
      "GET / HTTP/1.1\r\n\r\n" + std::string(100, 'x'),
      dataFrame(1, "never opened"),
      dataFrame(2, "of the server's"),
      controlFrame(Type::kSynStream, "short"),
      controlFrame(Type::kSynStream, std::string(30, '\xff')),
      controlFrame(Type::kPing, "long one"),
      controlFrame(Type::kRstStream, ""),
      controlFrame(Type::kHeaders, number32(1) + "no zlib"),
      controlFrame(Type::kGoAway, number32(0) + number32(0)),
  };
  for (const std::string& bytes : cases) {
    start();
    send(bytes);
    EXPECT_TRUE(value(session_->waitUntilEnded(clock_.now() + std::chrono::seconds(1)))) << bytes;
    run(session_->stop());
    session_.reset();
  }
  // A number that was there before.
  start();
  Client other;
  send(client_.open({{"streamtype", "data"}}));
  send(other.open({{"streamtype", "data"}}));
  EXPECT_TRUE(value(session_->waitUntilEnded(clock_.now() + std::chrono::seconds(1))));
}

}  // namespace
}  // namespace podlab::spdy
