// What the peer may do to a connection: garbage, silence, greed.
#include <gtest/gtest.h>

#include "common/rng.hpp"
#include "common/sync.hpp"
#include "tests/transport/sim_fixture.hpp"
#include "transport/rpc_frame.hpp"

// The connection keeps its handler until every call of it has returned.
// NOLINTBEGIN(cppcoreguidelines-avoid-capturing-lambda-coroutines)
namespace podlab::transport {
namespace {

using rpc::FrameType;
using std::chrono::seconds;

/// A server's connection whose peer is played by the test, byte by byte.
class ProtocolTest : public SimTest {
 protected:
  ProtocolTest() { start({}); }
  ~ProtocolTest() override {
    connection_.reset();
    clock_.advance(seconds(2));
  }

  void start(rpc::ConnectionOptions options, std::size_t pipe = 1 << 20,
             rpc::Handler handler = echo) {
    connection_.reset();
    auto [peer, own] = makeMemoryPipe(pipe, "server", "client");
    peer_ = std::move(peer);
    connection_ = rpc::makeConnection(io_.get_executor(), clock_, std::move(own), true,
                                      std::move(handler), options);
    clock_.runUntilIdle();
  }
  void write(const std::string& bytes) {
    ASSERT_TRUE(value(peer_->write(std::as_bytes(std::span(bytes)))).ok());
    clock_.runUntilIdle();
  }
  void greet(std::uint32_t window = 1 << 18) {
    std::string bytes;
    rpc::appendHello(bytes, {window, 1 << 24});
    write(bytes);
  }
  void frame(FrameType type, std::uint64_t stream, std::string_view payload = {},
             std::uint8_t flags = 0) {
    std::string bytes;
    rpc::appendFrame(bytes, type, flags, stream, payload);
    write(bytes);
  }
  struct Frame {
    rpc::FrameHeader header;
    std::string payload;
  };
  /// The next frame that the connection sent, its hello left out.
  Frame nextFrame() {
    if (!greeted_) {
      EXPECT_TRUE(rpc::parseHello(readExactly(rpc::kHelloSize)).ok());
      greeted_ = true;
    }
    auto header = rpc::parseHeader(readExactly(rpc::kHeaderSize));
    EXPECT_TRUE(header.ok());
    return {*header, readExactly(header->length)};
  }
  std::string readExactly(std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t have = 0;
    while (have < size) {
      auto rest = std::as_writable_bytes(std::span(bytes)).subspan(have);
      auto got = value(peer_->read(rest));
      if (!got) throw std::runtime_error(got.status().toString());
      have += *got;
    }
    return bytes;
  }
  /// The connection ended by itself, and told the peer why.
  void expectBroken(std::string_view why) {
    Frame last = nextFrame();
    while (last.header.type != FrameType::kClose) last = nextFrame();
    EXPECT_NE(rpc::decodeStatus(last.payload).message().find(why), std::string::npos)
        << rpc::decodeStatus(last.payload).message();
    Status reason = value(connection_->closed());
    EXPECT_EQ(reason.code(), Code::kBadRequest);
    std::byte one{};
    EXPECT_EQ(value(peer_->read(MutableBytes(&one, 1))).status().code(), Code::kEndOfStream);
  }

  std::unique_ptr<ByteStream> peer_;
  std::shared_ptr<rpc::Connection> connection_;
  bool greeted_ = false;
};

TEST_F(ProtocolTest, AnotherProtocolIsRecognisedByItsFirstBytes) {
  write("GET ");
  expectBroken("does not speak");
}

TEST_F(ProtocolTest, AnotherVersionIsRefused) {
  write(std::string("podlab\x00\x02", 8) + std::string(8, '\1'));
  expectBroken("does not speak");
}

TEST_F(ProtocolTest, AUselessWindowIsRefused) {
  greet(10);
  expectBroken("window of 10 bytes");
}

TEST_F(ProtocolTest, AHelloInPiecesIsUnderstood) {
  std::string hello;
  rpc::appendHello(hello, {1 << 18, 1 << 24});
  for (char c : hello) write(std::string(1, c));
  frame(FrameType::kPing, 0, "12345678");
  Frame answer = nextFrame();
  EXPECT_EQ(answer.header.type, FrameType::kPing);
  EXPECT_EQ(answer.header.flags, rpc::kAnswer);
  EXPECT_EQ(answer.payload, "12345678");
}

TEST_F(ProtocolTest, AnOversizedFrameEndsTheConnectionBeforeItIsRead) {
  greet();
  std::string header;
  rpc::appendFrame(header, FrameType::kData, 0, 1, "");
  header[0] = '\x7f';
  write(header);
  expectBroken("the limit is 65536");
}

TEST_F(ProtocolTest, BrokenFramesEndTheConnection) {
  struct Case {
    std::string says;
    std::vector<Frame> frames;
  };
  auto make = [](FrameType type, std::uint64_t stream, std::string payload = {},
                 std::uint8_t flags = 0) {
    Frame made;
    made.header.type = type;
    made.header.stream = stream;
    made.header.flags = flags;
    made.payload = std::move(payload);
    return made;
  };
  Frame open = make(FrameType::kOpen, 1, "m");
  for (const auto& [says, frames] : std::vector<Case>{
           {"unknown type 0", {make(static_cast<FrameType>(0), 0)}},
           {"unknown type 8", {make(static_cast<FrameType>(8), 0)}},
           {"PING frame of the wrong size", {make(FrameType::kPing, 0, "123")}},
           {"not the peer's next", {make(FrameType::kOpen, 2, "m")}},
           {"not the peer's next", {make(FrameType::kOpen, 0, "m")}},
           {"not the peer's next", {open, open}},
           {"not the peer's next",
            {make(FrameType::kOpen, 5, "m"), make(FrameType::kOpen, 3, "m")}},
           {"method name of 0 bytes", {make(FrameType::kOpen, 1)}},
           {"method name of 257 bytes", {make(FrameType::kOpen, 1, std::string(257, 'm'))}},
           {"never opened", {make(FrameType::kData, 1, "x")}},
           {"never opened", {make(FrameType::kReset, 2)}},
           {"never opened", {make(FrameType::kWindow, 0, "1234")}},
           {"WINDOW frame of the wrong size", {open, make(FrameType::kWindow, 1, "12345")}},
           {"window over its limit", {open, make(FrameType::kWindow, 1, "\xff\xff\xff\xff")}},
           {"data after the end",
            {open, make(FrameType::kFinish, 1), make(FrameType::kData, 1, "x")}},
           {"in the middle of a message",
            {open, make(FrameType::kData, 1, "x"), make(FrameType::kFinish, 1)}}}) {
    SCOPED_TRACE(says);
    WaitQueue never;
    greeted_ = false;
    // The handler keeps its side open, or the stream would be gone before the second frame.
    start({}, 1 << 20, [&never](rpc::Connection&, rpc::Stream&) -> Co<Status> {
      co_await never.wait();
      co_return Status();
    });
    greet();
    std::string bytes;
    for (const auto& [header, payload] : frames) {
      rpc::appendFrame(bytes, header.type, header.flags, header.stream, payload);
    }
    write(bytes);
    expectBroken(says);
  }
}

TEST_F(ProtocolTest, FramesForEndedStreamsAreIgnored) {
  greet();
  frame(FrameType::kOpen, 1, "m");
  frame(FrameType::kReset, 1);
  frame(FrameType::kData, 1, "late");
  frame(FrameType::kWindow, 1, "1234");
  frame(FrameType::kPing, 0, "12345678");
  Frame answer = nextFrame();
  while (answer.header.type != FrameType::kPing) answer = nextFrame();
}

TEST_F(ProtocolTest, MoreThanTheWindowEndsTheConnection) {
  rpc::ConnectionOptions options;
  options.window = 2000;
  WaitQueue never;
  greeted_ = false;
  start(options, 1 << 20, [&never](rpc::Connection&, rpc::Stream&) -> Co<Status> {
    co_await never.wait();
    co_return Status();
  });
  greet();
  frame(FrameType::kOpen, 1, "m");
  frame(FrameType::kData, 1, std::string(1900, 'x'), rpc::kEndOfMessage);
  frame(FrameType::kData, 1, std::string(100, 'x'), rpc::kEndOfMessage);
  expectBroken("window");
}

TEST_F(ProtocolTest, EmptyMessagesCostCreditToo) {
  rpc::ConnectionOptions options;
  options.window = 1400;
  WaitQueue never;
  greeted_ = false;
  start(options, 1 << 20, [&never](rpc::Connection&, rpc::Stream&) -> Co<Status> {
    co_await never.wait();
    co_return Status();
  });
  greet();
  frame(FrameType::kOpen, 1, "m");
  for (int i = 0; i <= 100; ++i) frame(FrameType::kData, 1, "", rpc::kEndOfMessage);
  expectBroken("window");
}

TEST_F(ProtocolTest, AMessageOverTheLimitResetsItsStreamOnly) {
  rpc::ConnectionOptions options;
  options.maxMessage = 1000;
  greeted_ = false;
  start(options);
  greet();
  frame(FrameType::kOpen, 1, "m");
  frame(FrameType::kData, 1, std::string(600, 'x'));
  frame(FrameType::kData, 1, std::string(600, 'x'), rpc::kEndOfMessage);
  Frame answer = nextFrame();
  EXPECT_EQ(answer.header.type, FrameType::kReset);
  EXPECT_EQ(answer.header.stream, 1U);
  EXPECT_EQ(rpc::decodeStatus(answer.payload).code(), Code::kTooLarge);
  frame(FrameType::kOpen, 3, "m");
  frame(FrameType::kData, 3, "fine", rpc::kEndOfMessage);
  answer = nextFrame();
  EXPECT_EQ(answer.header.type, FrameType::kData);
  EXPECT_EQ(answer.payload, "fine");
}

TEST_F(ProtocolTest, MalformedStatusesAreFailures) {
  greet();
  auto stream = value(connection_->open("m"));
  ASSERT_TRUE(stream.ok());
  frame(FrameType::kFinish, 2, "\xff\xff\xff");
  EXPECT_EQ(value((*stream)->receive()).status().code(), Code::kInternal);
}

TEST_F(ProtocolTest, AFloodOfPingsIsNotBuffered) {
  greeted_ = false;
  start({}, 4096);
  greet();
  std::string pings;
  for (int i = 0; i < 1000; ++i) rpc::appendFrame(pings, FrameType::kPing, 0, 0, "12345678");
  std::size_t taken = 0;
  auto flood = [](ByteStream& peer, const std::string& bytes, std::size_t& sent) -> Co<void> {
    for (int i = 0; i < 1000; ++i) {
      if (!(co_await peer.write(std::as_bytes(std::span(bytes))))) co_return;
      sent += bytes.size();
    }
  };
  // The peer reads no answer: after about a mebibyte of them it is not read either.
  background(flood(*peer_, pings, taken));
  clock_.runUntilIdle();
  EXPECT_LT(taken, 2U << 20);
  EXPECT_EQ(value(connection_->closed()).code(), Code::kUnavailable);
}

TEST_F(ProtocolTest, ASilentPeerIsPingedTwiceAndThenGivenUp) {
  greet();
  MonoTime began = clock_.now();
  Status reason = value(connection_->closed());
  EXPECT_EQ(reason.code(), Code::kUnavailable);
  EXPECT_NE(reason.message().find("two pings unanswered"), std::string::npos) << reason.message();
  EXPECT_EQ(clock_.now() - began, seconds(30));
  EXPECT_EQ(nextFrame().header.type, FrameType::kPing);
  EXPECT_EQ(nextFrame().header.type, FrameType::kPing);
}

TEST_F(ProtocolTest, APeerThatAnswersPingsStays) {
  greet();
  for (int i = 0; i < 10; ++i) {
    Frame ping = nextFrame();
    ASSERT_EQ(ping.header.type, FrameType::kPing);
    frame(FrameType::kPing, 0, ping.payload, rpc::kAnswer);
  }
  frame(FrameType::kPing, 0, "12345678");
  EXPECT_EQ(nextFrame().payload, "12345678");
}

TEST_F(ProtocolTest, APeerThatNeverGreetsIsGivenUp) {
  write("podlab");
  MonoTime began = clock_.now();
  Status reason = value(connection_->closed());
  EXPECT_EQ(reason.code(), Code::kUnavailable);
  EXPECT_LE(clock_.now() - began, seconds(30));
}

TEST_F(ProtocolTest, APeerThatSendsButReadsNothingIsGivenUp) {
  greeted_ = false;
  start({}, 4096);
  greet();
  auto stream = value(connection_->open("m"));
  ASSERT_TRUE(stream.ok());
  auto pour = [](rpc::Stream& s) -> Co<void> { (void)co_await s.send(std::string(1 << 20, 'x')); };
  background(pour(**stream));
  // Signs of life, but the pipe from the connection stays full.
  auto chatter = [](ByteStream& peer, Clock& clock) -> Co<void> {
    std::string answer;
    rpc::appendFrame(answer, FrameType::kPing, rpc::kAnswer, 0, "12345678");
    while (co_await peer.write(std::as_bytes(std::span(answer)))) {
      co_await clock.sleepFor(seconds(1));
    }
  };
  background(chatter(*peer_, clock_));
  Status reason = value(connection_->closed());
  EXPECT_EQ(reason.code(), Code::kUnavailable);
  EXPECT_NE(reason.message().find("has read nothing"), std::string::npos) << reason.message();
  EXPECT_EQ(value((*stream)->receive()).status().code(), Code::kUnavailable);
  clock_.advance(seconds(2));
}

TEST_F(ProtocolTest, AVanishedPeerEndsStreams) {
  greet();
  auto stream = value(connection_->open("m"));
  ASSERT_TRUE(stream.ok());
  peer_->close();
  EXPECT_EQ(value((*stream)->receive()).status().code(), Code::kUnavailable);
  EXPECT_EQ(value(connection_->closed()).message(), "the peer hung up");
}

TEST_F(ProtocolTest, RandomBytesNeverDoHarm) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    start({});
    if (rng.chance(0.8)) greet();
    std::string bytes;
    for (int i = 0; i < 50; ++i) {
      std::string payload(rng.below(40), '\0');
      rng.fill(std::as_writable_bytes(std::span(payload)));
      rpc::appendFrame(bytes, static_cast<FrameType>(1 + rng.below(7)),
                       static_cast<std::uint8_t>(rng.below(2)), rng.below(8), payload);
    }
    (void)value(peer_->write(std::as_bytes(std::span(bytes))));
    clock_.runUntilIdle();
    peer_->close();
    EXPECT_FALSE(value(connection_->closed()).ok());
  }
}

}  // namespace
}  // namespace podlab::transport
// NOLINTEND(cppcoreguidelines-avoid-capturing-lambda-coroutines)
