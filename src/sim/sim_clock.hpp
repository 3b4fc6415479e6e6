#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/clock.hpp"
#include "common/co.hpp"

namespace asio {
class io_context;
}

namespace podlab::sim {

/// Virtual time, which stands still while any handler of the io_context is ready and moves only
/// when it is told to. Timers run one by one in the order of (deadline, schedule() call), each
/// followed by all handlers that it made ready. The owner of the thread calls the run functions;
/// handlers must not. Nothing outside the thread may be waited for (sockets, pool threads):
/// use in-memory transports and makeInlinePool().
class SimClock final : public Clock {
 public:
  /// Calendar time at construction: 2026-01-01T00:00:00Z.
  static constexpr WallTime kStart{std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)};

  explicit SimClock(asio::io_context& io);

  MonoTime now() const override { return now_; }
  WallTime wallNow() const override { return kStart + elapsed() + wallOffset_; }
  TimerId schedule(MonoTime at, std::function<void()> fn) override;
  void cancel(TimerId id) override;

  /// Runs ready handlers and the timers that are already due until nothing is ready. Time stands.
  void runUntilIdle();
  /// runUntilIdle(), then every timer of the next `by` at its own time; ends `by` later.
  void advance(Duration by);
  /// Somebody sets the calendar: by so much forward, or back.
  void adjustWall(Duration by) { wallOffset_ += by; }
  /// runUntilIdle(), then moves to the next timer and runs it and what it made ready. False when
  /// there is no timer.
  bool runNext();
  /// Runs `task` to its end, moving time as far as that needs; its exception passes through.
  /// Throws std::logic_error when nothing is left that could wake it.
  void run(Co<void> task);

  /// Called, from inside the run functions, when time does not move though more handlers run than
  /// any good program has at once; unset: std::runtime_error is thrown.
  void onStandstill(std::function<void()> observer) { standstill_ = std::move(observer); }
  void setMostAtOnce(std::uint64_t handlers) { mostAtOnce_ = handlers; }
  /// Called after each timer, when all that it made ready has run.
  void onStep(std::function<void()> observer) { observer_ = std::move(observer); }
  std::size_t pendingTimers() const { return pending_; }
  /// Timers that have run.
  std::uint64_t steps() const { return steps_; }
  /// Since construction.
  Duration elapsed() const { return now_ - kMonoStart; }

 private:
  /// Not zero, as no machine's clock is: a default MonoTime is no valid deadline.
  static constexpr MonoTime kMonoStart{std::chrono::hours(1)};

  /// An id is the number of its schedule() call, and the slot of its function in the low bits. The
  /// slot of a timer that was cancelled is free at once: the heap's entry stays until it comes up.
  static constexpr int kSlotBits = 24;
  struct Deadline {
    MonoTime at;
    TimerId id;
    bool operator>(const Deadline& other) const {
      return at != other.at ? at > other.at : id > other.id;
    }
  };
  struct Slot {
    TimerId id = 0;  ///< 0: free
    std::function<void()> fn;
  };

  Slot& slotOf(TimerId id) { return slots_[id & ((TimerId{1} << kSlotBits) - 1)]; }
  bool isPending(TimerId id) { return slotOf(id).id == id; }
  std::function<void()> take(TimerId id);
  void poll();
  void countAtOnce();
  void runFirst();
  bool hasNext();
  bool dueBy(MonoTime at) { return hasNext() && heap_.front().at <= at; }

  asio::io_context& io_;
  MonoTime now_ = kMonoStart;
  Duration wallOffset_{};
  TimerId scheduled_ = 0;
  std::uint64_t steps_ = 0;
  std::size_t pending_ = 0;
  std::vector<Deadline> heap_;  ///< the least first
  std::vector<Slot> slots_;
  std::vector<TimerId> freeSlots_;
  std::function<void()> observer_;
  std::function<void()> standstill_;
  std::uint64_t mostAtOnce_ = 100'000'000;
  std::uint64_t atOnce_ = 0;  ///< handlers and timers since time moved
};

/// Runs a coroutine to its end in virtual time and returns its value.
template <typename T>
T runInSim(SimClock& clock, Co<T> task) {
  if constexpr (std::is_void_v<T>) {
    clock.run(std::move(task));
  } else {
    auto result = std::make_shared<std::optional<T>>();
    auto body = [](Co<T> inner, std::shared_ptr<std::optional<T>> out) -> Co<void> {
      out->emplace(co_await std::move(inner));
    };
    clock.run(body(std::move(task), result));
    return std::move(**result);
  }
}

}  // namespace podlab::sim
