#include "sim/sim_clock.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>

#include <asio.hpp>

namespace podlab::sim {

SimClock::SimClock(asio::io_context& io) : io_(io) {}

Clock::TimerId SimClock::schedule(MonoTime at, std::function<void()> fn) {
  TimerId id = ++lastId_;
  at = std::max(at, now_);
  timers_.emplace(std::pair(at, id), std::move(fn));
  deadlines_.emplace(id, at);
  return id;
}

void SimClock::cancel(TimerId id) {
  auto it = deadlines_.find(id);
  if (it == deadlines_.end()) return;
  timers_.erase({it->second, id});
  deadlines_.erase(it);
}

void SimClock::poll() {
  // An io_context that ran out of work stays stopped until restarted.
  if (io_.stopped()) io_.restart();
  io_.poll();
}

void SimClock::runFirst() {
  auto timer = timers_.extract(timers_.begin());
  deadlines_.erase(timer.key().second);
  now_ = timer.key().first;
  timer.mapped()();
  poll();
}

void SimClock::runUntilIdle() {
  poll();
  while (dueBy(now_)) runFirst();
}

void SimClock::advance(Duration by) {
  const MonoTime end = now_ + by;
  poll();
  while (dueBy(end)) runFirst();
  now_ = end;
}

bool SimClock::runNext() {
  runUntilIdle();
  if (timers_.empty()) return false;
  runFirst();
  runUntilIdle();
  return true;
}

void SimClock::run(Co<void> task) {
  struct Outcome {
    bool done = false;
    std::exception_ptr error;
  };
  auto outcome = std::make_shared<Outcome>();
  asio::co_spawn(io_, std::move(task), [outcome](std::exception_ptr error) {
    outcome->done = true;
    outcome->error = std::move(error);
  });
  poll();
  while (!outcome->done) {
    if (timers_.empty()) {
      throw std::logic_error("the coroutine waits, and no timer or handler is left to wake it");
    }
    runFirst();
  }
  if (outcome->error) std::rethrow_exception(outcome->error);
}

}  // namespace podlab::sim
