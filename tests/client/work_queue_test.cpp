#include "client/work_queue.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <asio.hpp>

#include "sim/sim_clock.hpp"

namespace podlab::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class WorkQueueTest : public testing::Test {
 protected:
  std::optional<std::string> get() { return sim::runInSim(clock_, queue_.get()); }

  asio::io_context io_;
  sim::SimClock clock_{io_};
  SeededRng rng_{1};
  WorkQueue queue_{clock_, rng_, milliseconds(10), seconds(1)};
};

TEST_F(WorkQueueTest, HandsOutInOrderAndAWaitingKeyOnce) {
  queue_.add("a");
  queue_.add("b");
  queue_.add("a");
  EXPECT_EQ(queue_.size(), 2u);
  EXPECT_EQ(get(), "a");
  EXPECT_EQ(get(), "b");
  EXPECT_EQ(queue_.size(), 0u);
}

TEST_F(WorkQueueTest, AKeyAddedWhileWorkedOnComesAgainOnlyAfterDone) {
  queue_.add("a");
  EXPECT_EQ(get(), "a");
  queue_.add("a");
  queue_.add("a");
  EXPECT_EQ(queue_.size(), 0u);
  queue_.done("a");
  EXPECT_EQ(queue_.size(), 1u);
  EXPECT_EQ(get(), "a");
  queue_.done("a");
  EXPECT_EQ(queue_.size(), 0u);
}

TEST_F(WorkQueueTest, WakesWaitingWorkersInTheirOrder) {
  std::vector<std::string> log;
  auto worker = [](WorkQueue& queue, std::vector<std::string>& out, std::string name) -> Co<void> {
    auto key = co_await queue.get();
    out.push_back(name + ":" + *key);
  };
  asio::co_spawn(io_, worker(queue_, log, "1"), asio::detached);
  asio::co_spawn(io_, worker(queue_, log, "2"), asio::detached);
  clock_.runUntilIdle();
  queue_.add("a");
  queue_.add("b");
  clock_.runUntilIdle();
  EXPECT_EQ(log, (std::vector<std::string>{"1:a", "2:b"}));
}

TEST_F(WorkQueueTest, DelayedAdditionsFireAtTheEarliestTime) {
  queue_.addAfter("a", seconds(5));
  queue_.addAfter("a", seconds(2));
  queue_.addAfter("a", seconds(9));
  clock_.advance(seconds(2) - milliseconds(1));
  EXPECT_EQ(queue_.size(), 0u);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(queue_.size(), 1u);
  EXPECT_EQ(clock_.pendingTimers(), 0u);
  queue_.addAfter("b", Duration::zero());
  EXPECT_EQ(queue_.size(), 2u);
}

TEST_F(WorkQueueTest, BackOffDoublesWithJitterUntilForgotten) {
  auto delay = [&] {
    const MonoTime begin = clock_.now();
    queue_.addRateLimited("a");
    EXPECT_EQ(get(), "a");
    queue_.done("a");
    return clock_.now() - begin;
  };
  Duration full = milliseconds(10);
  for (int i = 0; i < 12; ++i) {
    const Duration waited = delay();
    EXPECT_GE(waited, full / 2) << "failure " << i;
    EXPECT_LE(waited, full) << "failure " << i;
    full = std::min<Duration>(full * 2, seconds(1));
  }
  queue_.forget("a");
  EXPECT_LE(delay(), milliseconds(10));
}

TEST_F(WorkQueueTest, ShutDownEndsWaitersDropsTimersAndRefusesMore) {
  std::vector<bool> ended;
  auto worker = [](WorkQueue& queue, std::vector<bool>& out) -> Co<void> {
    out.push_back(!(co_await queue.get()).has_value());
  };
  asio::co_spawn(io_, worker(queue_, ended), asio::detached);
  asio::co_spawn(io_, worker(queue_, ended), asio::detached);
  queue_.addAfter("later", seconds(1));
  clock_.runUntilIdle();
  queue_.shutDown();
  clock_.runUntilIdle();
  EXPECT_EQ(ended, (std::vector<bool>{true, true}));
  EXPECT_EQ(clock_.pendingTimers(), 0u);
  queue_.add("a");
  queue_.addAfter("b", seconds(1));
  EXPECT_EQ(get(), std::nullopt);
  EXPECT_EQ(clock_.pendingTimers(), 0u);
}

// Model: a key is never handed out twice at a time, and each addition is followed by a hand-out.
TEST_F(WorkQueueTest, RandomUseKeepsItsPromises) {
  const std::uint64_t seed = 42;
  SeededRng rng(seed);
  std::vector<std::string> held;
  std::map<std::string, bool> owed;
  for (int step = 0; step < 20000; ++step) {
    std::string key(1, static_cast<char>('a' + rng.below(5)));
    if (rng.chance(0.5)) {
      queue_.add(key);
      owed[key] = true;
    } else if (!held.empty() && rng.chance(0.6)) {
      const auto at = rng.below(held.size());
      queue_.done(held[at]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (queue_.size() > 0) {
      auto got = get();
      ASSERT_TRUE(got) << "seed " << seed << " step " << step;
      EXPECT_EQ(std::ranges::count(held, *got), 0) << "seed " << seed << " step " << step;
      EXPECT_TRUE(owed[*got]) << "seed " << seed << " step " << step;
      owed[*got] = false;
      held.push_back(*got);
    }
  }
  for (const auto& key : held) queue_.done(key);
  while (queue_.size() > 0) {
    auto key = *get();
    owed[key] = false;
    queue_.done(key);
  }
  for (const auto& [key, due] : owed) EXPECT_FALSE(due) << key << " seed " << seed;
}

}  // namespace
}  // namespace podlab::client
