#include "sim/sim_clock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include <asio.hpp>

#include "common/rng.hpp"
#include "common/sync.hpp"

namespace podlab::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class SimClockTest : public testing::Test {
 protected:
  std::function<void()> note(std::string text) {
    return [this, text] { log_.push_back(text); };
  }

  asio::io_context io_;
  SimClock clock_{io_};
  std::vector<std::string> log_;
};

TEST_F(SimClockTest, RunsTimersInOrderOfDeadlineThenOfScheduling) {
  clock_.scheduleIn(seconds(2), note("c"));
  clock_.scheduleIn(seconds(1), note("a"));
  clock_.scheduleIn(seconds(1), note("b"));
  clock_.scheduleIn(seconds(3), note("later"));
  clock_.advance(seconds(2));
  EXPECT_EQ(log_, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(clock_.wallNow(), SimClock::kStart + seconds(2));
  EXPECT_EQ(clock_.pendingTimers(), 1u);
}

TEST_F(SimClockTest, NeverRunsInsideScheduleAndRunsPastDeadlinesAtOnce) {
  clock_.schedule(clock_.now() - seconds(5), note("past"));
  EXPECT_TRUE(log_.empty());
  MonoTime before = clock_.now();
  clock_.runUntilIdle();
  EXPECT_EQ(log_, (std::vector<std::string>{"past"}));
  EXPECT_EQ(clock_.now(), before);
}

TEST_F(SimClockTest, CancelledTimersDoNotRunAlsoWhenCancelledByAnEqualDeadline) {
  Clock::TimerId victim = 0;
  clock_.scheduleIn(seconds(1), [&] { clock_.cancel(victim); });
  victim = clock_.scheduleIn(seconds(1), note("victim"));
  auto gone = clock_.scheduleIn(seconds(1), note("gone"));
  clock_.cancel(gone);
  clock_.cancel(gone);
  clock_.advance(seconds(1));
  EXPECT_TRUE(log_.empty());
  EXPECT_NE(victim, 0u);
}

TEST_F(SimClockTest, ForgetsWhatIsCancelledAndKeepsTheOrderOfTheRest) {
  SeededRng rng(1);
  std::vector<Clock::TimerId> timers;
  std::vector<std::pair<MonoTime, int>> expected;
  std::vector<int> ran;
  for (int i = 0; i < 20'000; ++i) {
    const MonoTime at = clock_.now() + milliseconds(rng.below(1000));
    timers.push_back(clock_.schedule(at, [&ran, i] { ran.push_back(i); }));
    if (rng.chance(0.9)) {
      clock_.cancel(timers.back());
    } else {
      expected.emplace_back(at, i);
    }
  }
  // Ids of timers that are gone do not hit those that came into their places.
  for (int i = 0; i < 20'000; i += 7) {
    clock_.cancel(timers[i]);
    std::erase_if(expected, [i](const auto& entry) { return entry.second == i; });
  }
  EXPECT_EQ(clock_.pendingTimers(), expected.size());
  std::ranges::sort(expected);
  clock_.advance(seconds(1));
  std::vector<int> order;
  for (const auto& [at, i] : expected) order.push_back(i);
  EXPECT_EQ(ran, order);
  for (const auto id : timers) clock_.cancel(id);
  EXPECT_EQ(clock_.pendingTimers(), 0u);
}

TEST_F(SimClockTest, TellsItsObserverOfEachStep) {
  std::vector<Duration> steps;
  clock_.onStep([&] { steps.push_back(clock_.elapsed()); });
  clock_.scheduleIn(seconds(1), [&] { asio::post(io_, note("handler")); });
  clock_.scheduleIn(seconds(2), [] {});
  clock_.advance(seconds(5));
  EXPECT_EQ(steps, (std::vector<Duration>{seconds(1), seconds(2)}));
  EXPECT_EQ(clock_.steps(), 2u);
}

TEST_F(SimClockTest, HandlersThatATimerMadeReadyRunBeforeTheNextTimer) {
  clock_.scheduleIn(seconds(1), [&] { asio::post(io_, note("handler")); });
  clock_.scheduleIn(seconds(1), note("second"));
  clock_.advance(seconds(1));
  EXPECT_EQ(log_, (std::vector<std::string>{"handler", "second"}));
}

TEST_F(SimClockTest, TimersScheduledOnTheWayAreInTime) {
  std::function<void()> tick = [&] {
    log_.push_back("tick");
    clock_.scheduleIn(seconds(1), tick);
  };
  tick();
  clock_.advance(milliseconds(3500));
  EXPECT_EQ(log_.size(), 4u);
}

TEST_F(SimClockTest, RunInSimReturnsTheValueAndMovesOnlyAsFarAsNeeded) {
  clock_.scheduleIn(seconds(60), note("later"));
  auto body = [](SimClock& clock) -> Co<int> {
    co_await clock.sleepFor(seconds(5));
    co_return 7;
  };
  EXPECT_EQ(runInSim(clock_, body(clock_)), 7);
  EXPECT_EQ(clock_.wallNow(), SimClock::kStart + seconds(5));
  EXPECT_TRUE(log_.empty());
}

TEST_F(SimClockTest, ASleepThatIsCancelledLeavesNoTimer) {
  auto sleeper = [](SimClock& clock, std::vector<std::string>& log) -> Co<void> {
    try {
      co_await clock.sleepFor(seconds(5));
      log.push_back("awake");
    } catch (const asio::system_error&) {
      log.push_back("cancelled");
      throw;
    }
  };
  // Before its end, and at it, when it comes too late.
  for (const bool late : {false, true}) {
    TaskGroup group(io_.get_executor());
    group.spawn("sleeper", sleeper(clock_, log_));
    clock_.advance(seconds(1));
    EXPECT_EQ(clock_.pendingTimers(), 1u);
    if (late) {
      clock_.scheduleIn(seconds(4), [&group] { group.cancel(); });
      clock_.advance(seconds(10));
    } else {
      group.cancel();
      clock_.runUntilIdle();
    }
    EXPECT_EQ(group.size(), 0u);
    EXPECT_EQ(clock_.pendingTimers(), 0u);
  }
  EXPECT_EQ(log_, (std::vector<std::string>{"cancelled", "awake"}));
}

TEST_F(SimClockTest, RunInSimPassesExceptionsAndNamesADeadlock) {
  auto thrower = []() -> Co<void> {
    throw std::runtime_error("boom");
    co_return;
  };
  EXPECT_THROW(runInSim(clock_, thrower()), std::runtime_error);
  WaitQueue never;
  EXPECT_THROW(runInSim(clock_, never.wait()), std::logic_error);
}

TEST_F(SimClockTest, SaysWhenTimeStandsStill) {
  clock_.setMostAtOnce(1000);
  std::function<void()> again = [&] { clock_.scheduleIn({}, again); };
  again();
  EXPECT_THROW(clock_.advance(seconds(1)), std::runtime_error);

  std::function<void()> post = [&] { asio::post(io_, post); };
  SimClock other(io_);
  other.setMostAtOnce(1000);
  int seen = 0;
  other.onStandstill([&] {
    ++seen;
    post = [] {};
  });
  asio::post(io_, [&] { post(); });
  other.advance(seconds(1));
  EXPECT_EQ(seen, 1);
}

TEST_F(SimClockTest, ManyHandlersAreFineWhenTimeMoves) {
  clock_.setMostAtOnce(1000);
  int left = 5000;
  std::function<void()> again = [&] {
    if (--left > 0) clock_.scheduleIn(milliseconds(1), again);
  };
  again();
  clock_.advance(seconds(10));
  EXPECT_EQ(left, 0);
}

}  // namespace
}  // namespace podlab::sim
