#include "transport/rpc.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "rpc_frame.pb.h"

#include "common/rng.hpp"
#include "common/sync.hpp"
#include "tests/transport/sim_fixture.hpp"

// The connection keeps its handler until every call of it has returned.
// NOLINTBEGIN(cppcoreguidelines-avoid-capturing-lambda-coroutines)
namespace podlab::transport {
namespace {

using std::chrono::seconds;

TEST_F(RpcTest, AMessageGoesThereAndBack) {
  connect(echo);
  auto stream = open();
  EXPECT_TRUE(value(stream->send("hello")).ok());
  auto answer = value(stream->receive());
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(*answer, "hello");
  stream->finish();
  EXPECT_EQ(value(stream->receive()).status().code(), Code::kEndOfStream);
}

TEST_F(RpcTest, BothSidesOpenStreams) {
  auto name = [](rpc::Connection&, rpc::Stream& stream) -> Co<Status> {
    co_return co_await stream.send("I serve " + stream.method());
  };
  connect(name, {}, name);
  auto there = open("there");
  EXPECT_EQ(*value(there->receive()), "I serve there");
  auto back = value(server_->open("back"));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*value((*back)->receive()), "I serve back");
}

TEST_F(RpcTest, EmptyAndLargeMessagesArriveWhole) {
  connect(echo);
  auto stream = open();
  SeededRng rng(1);
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{16383}, std::size_t{16384},
                           std::size_t{16385}, std::size_t{300'000}, std::size_t{16} << 20}) {
    std::string message(size, '\0');
    rng.fill(std::as_writable_bytes(std::span(message)));
    ASSERT_TRUE(value(stream->send(message)).ok()) << size;
    auto answer = value(stream->receive());
    ASSERT_TRUE(answer.ok()) << size << answer.status().toString();
    EXPECT_TRUE(*answer == message) << size;
  }
}

TEST_F(RpcTest, AFailureCrossesTheWireWithItsCauses) {
  Status failure(Code::kInvalid, "Pod \"web\" is invalid",
                 {{"FieldValueRequired", "spec.containers", "Required value"},
                  {"FieldValueInvalid", "metadata.name", "must be a DNS label"}});
  connect([failure](rpc::Connection&, rpc::Stream&) -> Co<Status> { co_return failure; });
  auto stream = open();
  EXPECT_EQ(value(stream->receive()).status(), failure);
}

TEST_F(RpcTest, EveryCodeCrossesTheWire) {
  connect([](rpc::Connection&, rpc::Stream& stream) -> Co<Status> {
    co_return Status(static_cast<Code>(std::stoi(stream.method())), "why");
  });
  for (int code = static_cast<int>(Code::kBadRequest);
       code <= static_cast<int>(Code::kHostUnsupported); ++code) {
    auto stream = open(std::to_string(code));
    EXPECT_EQ(value(stream->receive()).status().code(), static_cast<Code>(code));
  }
}

TEST_F(RpcTest, AHugeFailureIsCutToAFrame) {
  std::vector<Cause> causes(5000, {"FieldValueInvalid", "spec.containers[0].image", "bad"});
  Status failure(Code::kInvalid, std::string(1 << 20, 'x'), causes);
  connect([failure](rpc::Connection&, rpc::Stream&) -> Co<Status> { co_return failure; });
  auto stream = open();
  Status got = value(stream->receive()).status();
  EXPECT_EQ(got.code(), Code::kInvalid);
  EXPECT_FALSE(got.causes().empty());
  EXPECT_LT(got.causes().size(), causes.size());
}

TEST_F(RpcTest, MessagesBeforeAFailureAreStillReceived) {
  connect([](rpc::Connection&, rpc::Stream& stream) -> Co<Status> {
    Status sent = co_await stream.send("first");
    if (!sent) co_return sent;
    co_return Status(Code::kExpired, "too old");
  });
  auto stream = open();
  clock_.runUntilIdle();
  EXPECT_EQ(*value(stream->receive()), "first");
  EXPECT_EQ(value(stream->receive()).status().code(), Code::kExpired);
}

TEST_F(RpcTest, AThrowingHandlerBecomesAnInternalError) {
  connect([](rpc::Connection&, rpc::Stream& stream) -> Co<Status> {
    if (stream.method() == "throw") throw std::runtime_error("broken invariant");
    co_return Status();
  });
  EXPECT_EQ(value(open("throw")->receive()).status().code(), Code::kInternal);
  EXPECT_EQ(value(open("fine")->receive()).status().code(), Code::kEndOfStream);
}

TEST_F(RpcTest, WithoutAHandlerStreamsAreRefused) {
  connect(nullptr);
  EXPECT_EQ(value(open()->receive()).status().code(), Code::kMethodNotAllowed);
}

TEST_F(RpcTest, CallSendsARequestAndReturnsTheResponse) {
  connect(echo);
  rpc::StatusFrame request;
  request.set_message("ping");
  rpc::StatusFrame response;
  EXPECT_TRUE(value(client_->call("echo", request, response)).ok());
  EXPECT_EQ(response.message(), "ping");
}

TEST_F(RpcTest, CallReturnsTheServersFailure) {
  connect([](rpc::Connection&, rpc::Stream&) -> Co<Status> {
    co_return Status(Code::kNotFound, "pods \"x\" not found");
  });
  rpc::StatusFrame message;
  EXPECT_EQ(value(client_->call("get", message, message)),
            Status(Code::kNotFound, "pods \"x\" not found"));
}

TEST_F(RpcTest, CallRefusesMissingMalformedAndSurplusResponses) {
  connect([](rpc::Connection&, rpc::Stream& stream) -> Co<Status> {
    if (stream.method() == "malformed") co_return co_await stream.send("\xff\xff");
    if (stream.method() == "twice") {
      Status sent = co_await stream.send("");
      if (!sent) co_return sent;
      co_return co_await stream.send("");
    }
    co_return Status();
  });
  rpc::StatusFrame message;
  EXPECT_EQ(value(client_->call("none", message, message)).code(), Code::kInternal);
  EXPECT_EQ(value(client_->call("malformed", message, message)).code(), Code::kBadRequest);
  EXPECT_EQ(value(client_->call("twice", message, message)).code(), Code::kInternal);
}

TEST_F(RpcTest, AMessageOverTheLimitIsRefusedBeforeItLeaves) {
  rpc::ConnectionOptions small;
  small.maxMessage = 1000;
  connect(echo, small);
  auto stream = open();
  EXPECT_EQ(value(stream->send(std::string(1001, 'x'))).code(), Code::kTooLarge);
  EXPECT_TRUE(value(stream->send(std::string(1000, 'x'))).ok());
  EXPECT_EQ(value(stream->receive())->size(), 1000U);
}

TEST_F(RpcTest, MoreStreamsThanAllowedAreRefusedAndRoomComesBack) {
  rpc::ConnectionOptions few;
  few.maxStreams = 2;
  connect(echo, few);
  auto first = open();
  auto second = open();
  auto third = open();
  EXPECT_EQ(value(third->receive()).status().code(), Code::kTooManyRequests);
  second.reset();
  clock_.runUntilIdle();
  auto fourth = open();
  EXPECT_TRUE(value(fourth->send("x")).ok());
  EXPECT_TRUE(value(fourth->receive()).ok());
}

TEST_F(RpcTest, AnAbandonedStreamCancelsItsHandler) {
  bool cancelled = false;
  WaitQueue never;
  connect([&](rpc::Connection&, rpc::Stream&) -> Co<Status> {
    struct Note {
      bool& flag;
      ~Note() { flag = true; }
    } note{cancelled};
    co_await never.wait();
    co_return Status();
  });
  auto stream = open();
  clock_.runUntilIdle();
  EXPECT_FALSE(cancelled);
  stream.reset();
  clock_.runUntilIdle();
  EXPECT_TRUE(cancelled);
}

TEST_F(RpcTest, AbandonedAtOnceTheHandlerNeverBlocksTheConnection) {
  connect(echo);
  for (int i = 0; i < 100; ++i) open().reset();
  auto stream = open();
  EXPECT_TRUE(value(stream->send("x")).ok());
  EXPECT_EQ(*value(stream->receive()), "x");
}

TEST_F(RpcTest, SendFailsOnceThePeerHasLeftTheStream) {
  connect([](rpc::Connection&, rpc::Stream&) -> Co<Status> { co_return Status(); });
  auto stream = open();
  EXPECT_EQ(value(stream->receive()).status().code(), Code::kEndOfStream);
  clock_.runUntilIdle();
  EXPECT_EQ(value(stream->send("x")).code(), Code::kCanceled);
}

TEST_F(RpcTest, SendAfterFinishFails) {
  connect(echo);
  auto stream = open();
  stream->finish();
  EXPECT_EQ(value(stream->send("x")).code(), Code::kCanceled);
}

TEST_F(RpcTest, AFinishWaitsForTheMessageBeingSent) {
  WaitQueue go;
  std::size_t got = 0;
  Status end;
  connect([&](rpc::Connection&, rpc::Stream& stream) -> Co<Status> {
    co_await go.wait();
    while (true) {
      auto message = co_await stream.receive();
      end = message.status();
      if (!message) co_return Status();
      got += message->size();
    }
  });
  auto stream = open();
  auto sendAll = [](rpc::Stream& s) -> Co<void> {
    EXPECT_TRUE((co_await s.send(std::string(1 << 20, 'x'))).ok());
  };
  background(sendAll(*stream));
  clock_.runUntilIdle();
  stream->finish();
  go.notifyAll();
  clock_.runUntilIdle();
  EXPECT_EQ(got, 1U << 20);
  EXPECT_EQ(end.code(), Code::kEndOfStream);
}

TEST_F(RpcTest, ACancelledSendResetsTheStream) {
  WaitQueue go;
  Status seen;
  connect([&](rpc::Connection&, rpc::Stream& stream) -> Co<Status> {
    while (true) {
      auto message = co_await stream.receive();
      seen = message.status();
      if (!message) co_return seen;
      co_await go.wait();
    }
  });
  auto stream = open();
  auto sendTwo = [](rpc::Stream& s) -> Co<void> {
    EXPECT_TRUE((co_await s.send("x")).ok());
    (void)co_await s.send(std::string(4 << 20, 'x'));
  };
  EXPECT_FALSE(value(withDeadline(clock_, clock_.now() + seconds(1), sendTwo(*stream))));
  EXPECT_EQ(value(stream->send("x")).code(), Code::kCanceled);
  auto other = open();
  EXPECT_TRUE(value(other->send("x")).ok());
}

TEST_F(RpcTest, AStuckReaderHoldsUpOnlyItsOwnStream) {
  WaitQueue never;
  connect([&](rpc::Connection& connection, rpc::Stream& stream) -> Co<Status> {
    if (stream.method() == "stuck") {
      co_await never.wait();
      co_return Status();
    }
    co_return co_await echo(connection, stream);
  });
  auto stuck = open("stuck");
  bool sent = false;
  auto sendMany = [](rpc::Stream& s, bool& done) -> Co<void> {
    for (int i = 0; i < 100; ++i) {
      if (!(co_await s.send(std::string(10'000, 'x')))) co_return;
    }
    done = true;
  };
  background(sendMany(*stuck, sent));
  clock_.runUntilIdle();
  EXPECT_FALSE(sent);
  auto lively = open("lively");
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(value(lively->send(std::string(10'000, 'y'))).ok());
    ASSERT_TRUE(value(lively->receive()).ok());
  }
  EXPECT_FALSE(sent);
  never.notifyAll();
  clock_.runUntilIdle();
}

TEST_F(RpcTest, TheGreediestStreamIsResetWhenTooMuchWaits) {
  rpc::ConnectionOptions tight;
  tight.maxMessage = 100'000;
  tight.maxBuffered = 100'000;
  WaitQueue never;
  connect(
      [&](rpc::Connection&, rpc::Stream& stream) -> Co<Status> {
        if (stream.method() == "stuck") co_await never.wait();
        while (true) {
          auto message = co_await stream.receive();
          if (!message) co_return message.status();
        }
      },
      tight);
  auto modest = open("stuck");
  ASSERT_TRUE(value(modest->send(std::string(10'000, 'x'))).ok());
  auto greedy = open("stuck");
  for (int i = 0; i < 10; ++i) {
    if (!value(greedy->send(std::string(10'000, 'x')))) break;
  }
  EXPECT_EQ(value(greedy->receive()).status().code(), Code::kExhausted);
  EXPECT_TRUE(value(modest->send("still there")).ok());
  // What is taken no longer counts, however much it was.
  auto lively = open("lively");
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(value(lively->send(std::string(50'000, 'x'))).ok());
    clock_.runUntilIdle();
  }
  lively->finish();
  EXPECT_EQ(value(lively->receive()).status().code(), Code::kEndOfStream);
}

TEST_F(RpcTest, AThousandStreamsAtOnce) {
  connect(echo);
  int done = 0;
  auto talk = [](rpc::Connection& connection, int number, int& count) -> Co<void> {
    auto stream = co_await connection.open("echo");
    if (!stream) co_return;
    for (int i = 0; i < 5; ++i) {
      std::string text = std::to_string(number) + "/" + std::to_string(i);
      if (!(co_await (*stream)->send(text))) co_return;
      auto answer = co_await (*stream)->receive();
      if (!answer || *answer != text) co_return;
    }
    ++count;
  };
  for (int i = 0; i < 1000; ++i) background(talk(*client_, i, done));
  clock_.runUntilIdle();
  EXPECT_EQ(done, 1000);
}

TEST_F(RpcTest, LargeMessagesTakeTurns) {
  // A small message sent after a large one on another stream must not wait for its end.
  std::vector<std::string> arrived;
  connect([&](rpc::Connection&, rpc::Stream& stream) -> Co<Status> {
    auto message = co_await stream.receive();
    arrived.push_back(stream.method());
    co_return message.status();
  });
  auto large = open("large");
  auto small = open("small");
  auto sendOne = [](rpc::Stream& s, std::size_t size) -> Co<void> {
    (void)co_await s.send(std::string(size, 'x'));
  };
  background(sendOne(*large, 8 << 20));
  background(sendOne(*small, 20'000));
  clock_.runUntilIdle();
  EXPECT_EQ(arrived, (std::vector<std::string>{"small", "large"}));
}

TEST_F(RpcTest, CloseEndsStreamsAndHandlersOnBothSides) {
  WaitQueue never;
  bool cancelled = false;
  connect([&](rpc::Connection&, rpc::Stream&) -> Co<Status> {
    struct Note {
      bool& flag;
      ~Note() { flag = true; }
    } note{cancelled};
    co_await never.wait();
    co_return Status();
  });
  auto stream = open();
  clock_.runUntilIdle();
  client_->close();
  EXPECT_EQ(value(client_->closed()).code(), Code::kCanceled);
  EXPECT_EQ(value(server_->closed()).code(), Code::kUnavailable);
  EXPECT_TRUE(cancelled);
  EXPECT_EQ(value(stream->receive()).status().code(), Code::kUnavailable);
  EXPECT_EQ(value(stream->send("x")).code(), Code::kUnavailable);
  EXPECT_EQ(value(client_->open("x")).status().code(), Code::kUnavailable);
}

TEST_F(RpcTest, WhatWasSentBeforeCloseArrives) {
  std::string got;
  connect([&](rpc::Connection&, rpc::Stream& stream) -> Co<Status> {
    auto message = co_await stream.receive();
    if (message) got = *message;
    co_return Status();
  });
  auto stream = open();
  EXPECT_TRUE(value(stream->send("last words")).ok());
  client_->close();
  clock_.runUntilIdle();
  EXPECT_EQ(got, "last words");
}

TEST_F(RpcTest, DroppingTheLastPointerCloses) {
  connect(echo);
  clock_.runUntilIdle();
  client_.reset();
  EXPECT_EQ(value(server_->closed()).code(), Code::kUnavailable);
}

/// Random messages both ways in random order, over a pipe of random size with random windows:
/// every message arrives, once, in order and unchanged.
class RpcFlowTest : public RpcTest, public ::testing::WithParamInterface<int> {};

TEST_P(RpcFlowTest, NothingIsLostDoubledOrReordered) {
  SeededRng rng(static_cast<std::uint64_t>(GetParam()));
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  rpc::ConnectionOptions serverOptions;
  rpc::ConnectionOptions clientOptions;
  serverOptions.window = 1024 + rng.below(1 << 16);
  clientOptions.window = 1024 + rng.below(1 << 16);
  connect(echo, serverOptions, nullptr, clientOptions, 1 + rng.below(1 << 15));

  struct Talk {
    std::unique_ptr<rpc::Stream> stream;
    std::vector<std::string> messages;
    std::vector<std::string> received;
    Status end;
  };
  std::vector<Talk> talks(1 + rng.below(20));
  for (auto& talk : talks) {
    talk.stream = open();
    for (std::uint64_t n = rng.below(30); n > 0; --n) {
      std::string message(rng.chance(0.1) ? rng.below(200'000) : rng.below(2'000), '\0');
      rng.fill(std::as_writable_bytes(std::span(message)));
      talk.messages.push_back(std::move(message));
    }
  }
  auto sendAll = [](Talk& talk, Rng& chance, Clock& clock) -> Co<void> {
    for (const auto& message : talk.messages) {
      if (chance.chance(0.2)) co_await clock.sleepFor(Duration(chance.below(1'000'000)));
      if (!(co_await talk.stream->send(message))) co_return;
    }
    talk.stream->finish();
  };
  auto receiveAll = [](Talk& talk, Rng& chance, Clock& clock) -> Co<void> {
    while (true) {
      if (chance.chance(0.2)) co_await clock.sleepFor(Duration(chance.below(1'000'000)));
      auto message = co_await talk.stream->receive();
      talk.end = message.status();
      if (!message) co_return;
      talk.received.push_back(std::move(*message));
    }
  };
  for (auto& talk : talks) {
    background(sendAll(talk, rng, clock_));
    background(receiveAll(talk, rng, clock_));
  }
  clock_.advance(seconds(5));
  for (auto& talk : talks) {
    EXPECT_EQ(talk.end.code(), Code::kEndOfStream);
    EXPECT_TRUE(talk.received == talk.messages);
    talk.stream.reset();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RpcFlowTest, ::testing::Range(1, 41));

}  // namespace
}  // namespace podlab::transport
// NOLINTEND(cppcoreguidelines-avoid-capturing-lambda-coroutines)
