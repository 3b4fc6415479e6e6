#include "sim/sim_clock.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>

#include <asio.hpp>

namespace podlab::sim {

SimClock::SimClock(asio::io_context& io) : io_(io) {}

Clock::TimerId SimClock::schedule(MonoTime at, std::function<void()> fn) {
  if (freeSlots_.empty()) {
    if (slots_.size() == std::size_t{1} << kSlotBits) throw std::length_error("too many timers");
    freeSlots_.push_back(slots_.size());
    slots_.emplace_back();
  }
  const TimerId id = (++scheduled_ << kSlotBits) | freeSlots_.back();
  freeSlots_.pop_back();
  slotOf(id) = {id, std::move(fn)};
  heap_.push_back({std::max(at, now_), id});
  std::ranges::push_heap(heap_, std::greater<>());
  ++pending_;
  return id;
}

std::function<void()> SimClock::take(TimerId id) {
  Slot& slot = slotOf(id);
  slot.id = 0;
  freeSlots_.push_back(static_cast<TimerId>(&slot - slots_.data()));
  --pending_;
  return std::exchange(slot.fn, nullptr);
}

void SimClock::cancel(TimerId id) {
  if ((id & ((TimerId{1} << kSlotBits) - 1)) >= slots_.size() || id == 0 || !isPending(id)) return;
  // Destroyed here, not in take(): it may cancel others.
  const auto dropped = take(id);
  // Time-outs are cancelled far more often than they come up.
  if (heap_.size() < 64 || heap_.size() < 4 * pending_) return;
  std::erase_if(heap_, [this](const Deadline& deadline) { return !isPending(deadline.id); });
  std::ranges::make_heap(heap_, std::greater<>());
}

void SimClock::poll() {
  // An io_context that ran out of work stays stopped until restarted.
  if (io_.stopped()) io_.restart();
  while (io_.poll_one() > 0) countAtOnce();
}

void SimClock::countAtOnce() {
  if (++atOnce_ <= mostAtOnce_) return;
  atOnce_ = 0;
  if (!standstill_) throw std::runtime_error("virtual time stands still");
  standstill_();
}

bool SimClock::hasNext() {
  while (!heap_.empty() && !isPending(heap_.front().id)) {
    std::ranges::pop_heap(heap_, std::greater<>());
    heap_.pop_back();
  }
  return !heap_.empty();
}

void SimClock::runFirst() {
  std::ranges::pop_heap(heap_, std::greater<>());
  const Deadline first = heap_.back();
  heap_.pop_back();
  if (first.at > now_) atOnce_ = 0;
  now_ = first.at;
  ++steps_;
  countAtOnce();
  take(first.id)();
  poll();
  if (observer_) observer_();
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
  if (!hasNext()) return false;
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
    if (!hasNext()) {
      throw std::logic_error("the coroutine waits, and no timer or handler is left to wake it");
    }
    runFirst();
  }
  if (outcome->error) std::rethrow_exception(outcome->error);
}

}  // namespace podlab::sim
