#include "transport/tunnel.hpp"

#include "common/rng.hpp"
#include "common/sync.hpp"
#include "sim_fixture.hpp"

namespace podlab::transport {
namespace {

Co<void> sendAll(ByteStream& stream, std::string data) {
  EXPECT_TRUE((co_await stream.write(std::as_bytes(std::span(data)))).ok());
  stream.finishWriting();
}

Co<void> receiveAll(ByteStream& stream, std::string& data) {
  std::array<std::byte, 3000> buffer;
  for (;;) {
    auto got = co_await stream.read(buffer);
    if (!got) co_return;
    data.append(reinterpret_cast<const char*>(buffer.data()), *got);
  }
}

Co<void> flood(ByteStream& stream, bool& allTaken) {
  const std::string data(10'000'000, 'x');
  const Status written = co_await stream.write(std::as_bytes(std::span(data)));
  allTaken = written.ok();
}

Co<void> tunnelOver(ByteStream& bytes, rpc::Stream& stream, std::optional<Status>& end) {
  end = co_await rpc::tunnel(bytes, stream);
}

/// A local connection, a tunnel, and what is at its other end.
class TunnelTest : public RpcTest {
 protected:
  void SetUp() override {
    auto [mine, tunnelled] = makeMemoryPipe(4096);
    auto [its, carried] = makeMemoryPipe(4096);
    near_ = std::move(mine);
    nearEnd_ = std::move(tunnelled);
    far_ = std::move(its);
    farEnd_ = std::move(carried);
    connect([this](rpc::Connection&, rpc::Stream& stream) -> Co<Status> {
      if (stream.method() == "stuck") {
        (void)co_await stream.receive();
        WaitQueue never;
        co_await never.wait();
      }
      if (stream.method() == "refused") co_return Status(Code::kUnavailable, "nobody listens");
      co_return co_await rpc::tunnel(*farEnd_, stream);
    });
  }
  std::string random(std::size_t size) {
    std::string text(size, '\0');
    for (auto& c : text) c = static_cast<char>(rng_.below(256));
    return text;
  }

  SeededRng rng_{7};
  std::unique_ptr<ByteStream> near_, nearEnd_, far_, farEnd_;
};

TEST_F(TunnelTest, BothDirectionsEndOnTheirOwn) {
  auto stream = open();
  std::optional<Status> end;
  background(tunnelOver(*nearEnd_, *stream, end));
  const std::string question = random(500'000), answer = random(700'000);
  std::string asked, answered;
  background(sendAll(*near_, question));
  run(receiveAll(*far_, asked));
  EXPECT_TRUE(asked == question);
  EXPECT_FALSE(end);
  background(sendAll(*far_, answer));
  run(receiveAll(*near_, answered));
  EXPECT_TRUE(answered == answer);
  clock_.runUntilIdle();
  EXPECT_EQ(end.value_or(Status(Code::kInternal, "goes on")), Status());
}

TEST_F(TunnelTest, AConnectionThatBreaksEndsTheStream) {
  auto stream = open();
  std::optional<Status> end;
  background(tunnelOver(*nearEnd_, *stream, end));
  clock_.runUntilIdle();
  far_->close();
  bool allTaken = false;
  background(flood(*near_, allTaken));
  clock_.runUntilIdle();
  EXPECT_TRUE(end && !end->ok());
  nearEnd_->close();
  clock_.runUntilIdle();
  EXPECT_FALSE(allTaken);
}

/// Also when it had something to say itself by then.
TEST_F(TunnelTest, ARefusedOneHearsWhy) {
  auto stream = open("refused");
  clock_.runUntilIdle();
  background(sendAll(*near_, "question"));
  std::optional<Status> end;
  background(tunnelOver(*nearEnd_, *stream, end));
  clock_.runUntilIdle();
  EXPECT_EQ(end.value_or(Status()).message(), "nobody listens");
}

/// A client that never reads holds up neither other streams nor the connection.
TEST_F(TunnelTest, AStuckOneHoldsUpNobody) {
  auto stuck = open("stuck");
  auto [local, carried] = makeMemoryPipe(4096);
  std::optional<Status> stuckEnd, end;
  background(tunnelOver(*carried, *stuck, stuckEnd));
  bool allTaken = false;
  background(flood(*local, allTaken));
  clock_.runUntilIdle();
  EXPECT_FALSE(stuckEnd);
  auto stream = open();
  background(tunnelOver(*nearEnd_, *stream, end));
  const std::string data = random(3'000'000);
  std::string arrived;
  background(sendAll(*near_, data));
  run(receiveAll(*far_, arrived));
  EXPECT_TRUE(arrived == data);
  EXPECT_FALSE(allTaken);
  closeBoth();
  local->close();
  carried->close();
  clock_.runUntilIdle();
}

}  // namespace
}  // namespace podlab::transport
