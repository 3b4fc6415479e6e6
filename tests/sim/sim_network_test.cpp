#include "sim/sim_network.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include <asio.hpp>

#include "sim/sim_clock.hpp"

namespace podlab::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

Bytes bytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// Reads until the stream ends, and keeps when what arrived.
Co<void> readAll(ByteStream& stream, SimClock& clock, std::map<Duration, std::string>& seen,
                 Status& end) {
  std::array<std::byte, 64> buffer;
  for (;;) {
    auto count = co_await stream.read(buffer);
    if (!count.ok()) {
      end = count.status();
      co_return;
    }
    seen[clock.elapsed()] += std::string(reinterpret_cast<const char*>(buffer.data()), *count);
  }
}

class SimNetworkTest : public testing::Test {
 protected:
  SimNetworkTest() {
    LinkConditions slow;
    slow.delay = milliseconds(10);
    network_.setConditions(slow);
    listener_ = *network_.listen("b");
  }

  template <typename T>
  T run(Co<T> task) {
    return runInSim(clock_, std::move(task));
  }
  void connect() {
    mine_ = *run(dialer_->dial("b"));
    theirs_ = *run(listener_->accept());
    asio::co_spawn(io_, readAll(*theirs_, clock_, seen_, end_), asio::detached);
  }
  std::string all() const {
    std::string text;
    for (const auto& [at, part] : seen_) text += part;
    return text;
  }

  asio::io_context io_;
  SimClock clock_{io_};
  SeededRng rng_{1};
  SimNetwork network_{clock_, rng_};
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Dialer> dialer_ = network_.dialer("a");
  std::unique_ptr<ByteStream> mine_, theirs_;
  std::map<Duration, std::string> seen_;
  Status end_;
};

TEST_F(SimNetworkTest, DelaysEachWayAndKeepsTheOrder) {
  connect();
  EXPECT_EQ(clock_.elapsed(), milliseconds(20));
  EXPECT_EQ(theirs_->peer(), "a");
  ASSERT_TRUE(run(mine_->write(bytesOf("one"))).ok());
  clock_.advance(milliseconds(5));
  ASSERT_TRUE(run(mine_->write(bytesOf("two"))).ok());
  clock_.advance(seconds(1));
  const std::map<Duration, std::string> expected{{milliseconds(30), "one"},
                                                 {milliseconds(35), "two"}};
  EXPECT_EQ(seen_, expected);
  mine_->close();
  clock_.advance(milliseconds(9));
  EXPECT_TRUE(end_.ok());
  clock_.advance(milliseconds(1));
  EXPECT_TRUE(end_.is(Code::kEndOfStream));
}

TEST_F(SimNetworkTest, LosesNothingThoughPacketsAreSentAgain) {
  connect();
  LinkConditions bad;
  bad.loss = 0.5;
  network_.setConditions("b", bad);
  std::string sent;
  for (int i = 0; i < 40; ++i) {
    const std::string part = std::to_string(i) + " ";
    ASSERT_TRUE(run(mine_->write(bytesOf(part))).ok());
    sent += part;
  }
  clock_.advance(minutes(10));
  EXPECT_EQ(all(), sent);
  EXPECT_GT(network_.counters().lost, 10u);
}

TEST_F(SimNetworkTest, APartitionHoldsBackWhatIsSentUntilItHeals) {
  connect();
  const auto cut = network_.partition({"a"}, {"b"});
  ASSERT_TRUE(run(mine_->write(bytesOf("held"))).ok());
  clock_.advance(seconds(5));
  EXPECT_EQ(all(), "");
  auto refused = run(dialer_->dial("b"));
  EXPECT_TRUE(refused.status().is(Code::kUnavailable));
  network_.heal(cut);
  clock_.advance(seconds(1));
  EXPECT_EQ(all(), "held");
}

TEST_F(SimNetworkTest, AOneWayPartitionLetsTheOtherDirectionPass) {
  connect();
  network_.partition({"b"}, {"a"}, true);
  ASSERT_TRUE(run(mine_->write(bytesOf("there"))).ok());
  ASSERT_TRUE(run(theirs_->write(bytesOf("back"))).ok());
  std::map<Duration, std::string> answered;
  Status end;
  asio::co_spawn(io_, readAll(*mine_, clock_, answered, end), asio::detached);
  clock_.advance(seconds(5));
  EXPECT_EQ(all(), "there");
  EXPECT_TRUE(answered.empty());
  mine_->close();
  clock_.advance(seconds(1));
}

TEST_F(SimNetworkTest, PeersHearOfACrashAndNotOfAPowerFailure) {
  connect();
  network_.crash("a");
  EXPECT_FALSE(run(mine_->write(bytesOf("x"))).ok());
  clock_.advance(milliseconds(10));
  EXPECT_TRUE(end_.is(Code::kEndOfStream));

  end_ = Status();
  connect();
  network_.powerOff("a");
  clock_.advance(minutes(5));
  EXPECT_TRUE(end_.ok());
  ASSERT_TRUE(run(theirs_->write(bytesOf("anybody there?"))).ok());
  clock_.advance(minutes(5));
  EXPECT_TRUE(end_.ok());
  // The host that boots does not know the stream.
  network_.powerOn("a");
  clock_.advance(seconds(1));
  EXPECT_TRUE(end_.is(Code::kUnavailable)) << end_.toString();
}

TEST_F(SimNetworkTest, AResetBreaksBothSides) {
  connect();
  network_.reset("b");
  clock_.runUntilIdle();
  EXPECT_TRUE(end_.is(Code::kUnavailable));
  EXPECT_TRUE(run(mine_->write(bytesOf("x"))).is(Code::kUnavailable));
  EXPECT_EQ(network_.counters().broken, 1u);
}

TEST_F(SimNetworkTest, AWriterWaitsForAReaderThatDoesNotRead) {
  mine_ = *run(dialer_->dial("b"));
  theirs_ = *run(listener_->accept());
  bool written = false;
  const std::string much(200'000, 'x');
  auto write = [](ByteStream& stream, const std::string& text, bool& done) -> Co<void> {
    const Status status = co_await stream.write(bytesOf(text));
    EXPECT_TRUE(status.ok());
    done = true;
  };
  asio::co_spawn(io_, write(*mine_, much, written), asio::detached);
  clock_.advance(seconds(10));
  EXPECT_FALSE(written);
  asio::co_spawn(io_, readAll(*theirs_, clock_, seen_, end_), asio::detached);
  clock_.advance(seconds(10));
  EXPECT_TRUE(written);
  EXPECT_EQ(all().size(), much.size());
}

}  // namespace
}  // namespace podlab::sim
