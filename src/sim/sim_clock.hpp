#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>

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
  WallTime wallNow() const override { return kStart + (now_ - kMonoStart) + wallOffset_; }
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

  std::size_t pendingTimers() const { return timers_.size(); }

 private:
  /// Not zero, as no machine's clock is: a default MonoTime is no valid deadline.
  static constexpr MonoTime kMonoStart{std::chrono::hours(1)};

  void poll();
  void runFirst();
  bool dueBy(MonoTime at) const { return !timers_.empty() && timers_.begin()->first.first <= at; }

  asio::io_context& io_;
  MonoTime now_ = kMonoStart;
  Duration wallOffset_{};
  TimerId lastId_ = 0;
  std::map<std::pair<MonoTime, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, MonoTime> deadlines_;
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
