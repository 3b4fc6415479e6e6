#pragma once
#include <cstdint>
#include <functional>

#include "common/co.hpp"
#include "common/time.hpp"

namespace podlab {

/// Where all time comes from: the machine's clocks, or a simulated one (src/sim/sim_clock.hpp).
/// Timers run on the owner's executor, never inside schedule(); equal deadlines run in the order of
/// their schedule() calls.
class Clock {
 public:
  using TimerId = std::uint64_t;
  virtual ~Clock() = default;

  virtual MonoTime now() const = 0;
  virtual WallTime wallNow() const = 0;

  /// Runs `fn` once at `at` (at once when past). The id is never 0 and never reused.
  virtual TimerId schedule(MonoTime at, std::function<void()> fn) = 0;
  /// The timer will not run after this returns; an unknown or expired id is ignored.
  virtual void cancel(TimerId id) = 0;

  TimerId scheduleIn(Duration delay, std::function<void()> fn) {
    return schedule(now() + delay, std::move(fn));
  }
  /// Suspends the coroutine; throws operation_aborted when cancelled.
  Co<void> sleepUntil(MonoTime at);
  Co<void> sleepFor(Duration delay) { return sleepUntil(now() + delay); }
};

}  // namespace podlab
