#include "common/sync.hpp"

#include <gtest/gtest.h>

#include <asio.hpp>

#include "common/blocking.hpp"
#include "common/real_clock.hpp"
#include "common/semaphore.hpp"

namespace podlab {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class SyncTest : public ::testing::Test {
 protected:
  asio::io_context io_;
  std::unique_ptr<Clock> clock_ = makeRealClock(io_.get_executor());

  void start(Co<void> task) {
    auto failed = [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    };
    asio::co_spawn(io_, std::move(task), failed);
  }
  /// Runs `task` to its end.
  void run(Co<void> task) {
    start(std::move(task));
    io_.run();
    io_.restart();
  }
};

Co<void> waitAndNote(WaitQueue& queue, int id, std::vector<int>& order) {
  co_await queue.wait();
  order.push_back(id);
}

TEST_F(SyncTest, WaitersWakeInTheOrderInWhichTheyCame) {
  WaitQueue queue;
  std::vector<int> order;
  for (int i = 0; i < 4; ++i) start(waitAndNote(queue, i, order));
  io_.poll();
  queue.notifyOne();
  io_.poll();
  EXPECT_EQ(order, (std::vector{0}));
  queue.notifyAll();
  io_.poll();
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3}));
}

TEST_F(SyncTest, DestroyedQueueAbortsItsWaiters) {
  auto queue = std::make_unique<WaitQueue>();
  std::exception_ptr seen;
  auto note = [&seen](std::exception_ptr error) { seen = error; };
  asio::co_spawn(io_, queue->wait(), note);
  io_.poll();
  queue.reset();
  io_.poll();
  ASSERT_TRUE(seen);
  EXPECT_THROW(std::rethrow_exception(seen), asio::system_error);
}

// A cancellation that comes too late, or twice, does not strike who waits in the same place now.
TEST_F(SyncTest, ACancellationStrikesItsOwnWaiterOnce) {
  WaitQueue queue;
  asio::cancellation_signal first, second;
  std::string ends;
  const auto note = [&ends](const char* name) {
    return [&ends, name](const std::exception_ptr& error) {
      ends += std::string(name) + (error ? " aborted, " : " woken, ");
    };
  };
  const auto begin = [&](asio::cancellation_signal& signal, const char* name) {
    asio::co_spawn(io_, queue.wait(), asio::bind_cancellation_slot(signal.slot(), note(name)));
  };
  begin(first, "first");
  io_.poll();
  queue.notifyOne();
  start(queue.wait());  // takes the memory of the first
  io_.poll_one();
  first.emit(asio::cancellation_type::terminal);
  begin(second, "second");
  io_.poll();
  second.emit(asio::cancellation_type::terminal);
  second.emit(asio::cancellation_type::terminal);
  io_.poll();
  EXPECT_EQ(ends, "first woken, second aborted, ");
  queue.notifyAll();
  io_.poll();
  EXPECT_EQ(ends, "first woken, second aborted, ");
}

TEST_F(SyncTest, WaitUntilReportsTheDeadline) {
  struct Body {
    static Co<void> go(Clock& clock, bool& notified) {
      WaitQueue queue;
      notified = co_await queue.waitUntil(clock, clock.now() + milliseconds(1));
    }
  };
  bool notified = true;
  run(Body::go(*clock_, notified));
  EXPECT_FALSE(notified);
}

struct Unwound {
  int& count;
  ~Unwound() { ++count; }
};

Co<void> sleepForever(Clock& clock, int& unwound) {
  Unwound guard{unwound};
  co_await clock.sleepFor(hours(1000));
}

TEST_F(SyncTest, GroupCancelsAndJoinsItsTasks) {
  struct Body {
    static Co<void> go(asio::any_io_executor executor, Clock& clock, int& unwound) {
      TaskGroup group(executor);
      for (int i = 0; i < 3; ++i) group.spawn("sleeper", sleepForever(clock, unwound));
      co_await clock.sleepFor(milliseconds(1));
      EXPECT_EQ(group.size(), 3u);
      co_await group.cancelAndJoin();
      EXPECT_EQ(group.size(), 0u);
    }
  };
  int unwound = 0;
  run(Body::go(io_.get_executor(), *clock_, unwound));
  EXPECT_EQ(unwound, 3);
}

TEST_F(SyncTest, CancelledDeadlineWaitsForTheTaskToUnwind) {
  struct Body {
    static Co<void> inner(Clock& clock, int& unwound) {
      // The task is unwound inside withDeadline, so `local` outlives it.
      int local = 0;
      Unwound guard{unwound};
      try {
        co_await withDeadline(clock, clock.now() + hours(1), sleepForever(clock, local));
      } catch (const asio::system_error&) {
        EXPECT_EQ(local, 1);
        throw;
      }
    }
    static Co<void> go(asio::any_io_executor executor, Clock& clock, int& unwound) {
      TaskGroup group(executor);
      group.spawn("deadline", inner(clock, unwound));
      co_await clock.sleepFor(milliseconds(1));
      co_await group.cancelAndJoin();
    }
  };
  int unwound = 0;
  run(Body::go(io_.get_executor(), *clock_, unwound));
  EXPECT_EQ(unwound, 1);
}

TEST_F(SyncTest, DeadlinePassesTheTasksExceptionThrough) {
  struct Body {
    static Co<void> fail() {
      throw std::runtime_error("broken");
      co_return;
    }
    static Co<void> go(Clock& clock, std::string& what) {
      try {
        co_await withDeadline(clock, clock.now() + hours(1), fail());
      } catch (const std::runtime_error& error) {
        what = error.what();
      }
    }
  };
  std::string what;
  run(Body::go(*clock_, what));
  EXPECT_EQ(what, "broken");
}

TEST_F(SyncTest, QueueDrainsBeforeItEnds) {
  struct Body {
    static Co<void> go(std::vector<int>& seen) {
      AsyncQueue<int> queue;
      queue.push(1);
      queue.push(2);
      queue.close();
      EXPECT_FALSE(queue.push(3));
      while (auto item = co_await queue.pop()) seen.push_back(*item);
    }
  };
  std::vector<int> seen;
  run(Body::go(seen));
  EXPECT_EQ(seen, (std::vector{1, 2}));
}

TEST_F(SyncTest, PoolReturnsToTheCallersThread) {
  struct Body {
    static Co<void> go(BlockingPool& pool, bool& elsewhere, bool& home) {
      const auto here = std::this_thread::get_id();
      const auto there = co_await pool.run([] { return std::this_thread::get_id(); });
      elsewhere = there != here;
      home = std::this_thread::get_id() == here;
    }
  };
  auto pool = makeThreadPool(2);
  bool elsewhere = false, home = false;
  run(Body::go(*pool, elsewhere, home));
  EXPECT_TRUE(elsewhere);
  EXPECT_TRUE(home);
}

TEST_F(SyncTest, EqualDeadlinesFireInOrderAndCancelledOnesNever) {
  std::vector<int> order;
  const MonoTime at = clock_->now();
  for (int i = 0; i < 5; ++i) clock_->schedule(at, [&order, i] { order.push_back(i); });
  const auto dropped = clock_->schedule(at, [&order] { order.push_back(99); });
  clock_->cancel(dropped);
  io_.run();
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
}

Co<void> passAndNote(Semaphore& semaphore, WaitQueue& leave, int id, std::vector<int>& inside) {
  const auto permit = co_await semaphore.acquire();
  inside.push_back(id);
  co_await leave.wait();
}

TEST_F(SyncTest, ASemaphoreLetsSoManyPass) {
  Semaphore semaphore(2);
  WaitQueue leave;
  std::vector<int> inside;
  for (int i = 0; i < 4; ++i) start(passAndNote(semaphore, leave, i, inside));
  io_.poll();
  EXPECT_EQ(inside, (std::vector{0, 1}));
  leave.notifyOne();
  io_.poll();
  EXPECT_EQ(inside, (std::vector{0, 1, 2}));
  leave.notifyAll();
  io_.poll();
  EXPECT_EQ(inside, (std::vector{0, 1, 2, 3}));
  leave.notifyAll();
  io_.poll();
}

Co<void> noteWhenFewWait(Semaphore& semaphore, std::size_t most, int id, std::vector<int>& seen) {
  co_await semaphore.untilFewWait(most);
  seen.push_back(id);
}

TEST_F(SyncTest, OneCanWaitUntilFewWaitForASemaphore) {
  Semaphore semaphore(1);
  WaitQueue leave;
  std::vector<int> inside;
  std::vector<int> seen;
  for (int i = 0; i < 4; ++i) start(passAndNote(semaphore, leave, i, inside));
  io_.poll();
  start(noteWhenFewWait(semaphore, 3, 0, seen));
  io_.poll();
  EXPECT_EQ(seen, (std::vector{0}));
  TaskGroup cancelled(io_.get_executor());
  cancelled.spawn("first", noteWhenFewWait(semaphore, 1, 1, seen));
  io_.poll();
  for (int i = 2; i < 5; ++i) start(noteWhenFewWait(semaphore, 1, i, seen));
  leave.notifyOne();
  io_.poll();
  EXPECT_EQ(seen, (std::vector{0}));
  // The one who is called is cancelled at the same time: the others are called all the same.
  leave.notifyOne();
  cancelled.cancel();
  io_.poll();
  EXPECT_EQ(seen, (std::vector{0, 2, 3, 4}));
  for (int i = 0; i < 2; ++i) {
    leave.notifyOne();
    io_.poll();
  }
  EXPECT_EQ(inside.size(), 4U);
}

TEST_F(SyncTest, ACancelledWaiterCallsTheNext) {
  Semaphore semaphore(1);
  WaitQueue leave;
  std::vector<int> inside;
  TaskGroup cancelled(io_.get_executor());
  start(passAndNote(semaphore, leave, 0, inside));
  io_.poll();
  cancelled.spawn("second", passAndNote(semaphore, leave, 1, inside));
  io_.poll();
  start(passAndNote(semaphore, leave, 2, inside));
  io_.poll();
  // It is called and cancelled at once.
  cancelled.cancel();
  leave.notifyAll();
  io_.poll();
  EXPECT_EQ(inside, (std::vector{0, 2}));
  leave.notifyAll();
  run(cancelled.join());
}

}  // namespace
}  // namespace podlab
