#include "client/work_queue.hpp"

#include <algorithm>
#include <utility>

namespace podlab::client {

struct WorkQueue::State {
  State(Clock& c, Rng& r, Duration base, Duration max)
      : clock(c), rng(r), baseDelay(base), maxDelay(max) {}

  Clock& clock;
  Rng& rng;
  const Duration baseDelay;
  const Duration maxDelay;
  bool down = false;
  WaitQueue ready;
  std::deque<std::string> queue;
  std::unordered_set<std::string> dirty;       ///< to be handed out: waiting, or again after done()
  std::unordered_set<std::string> processing;  ///< between get() and done()
  std::unordered_map<std::string, unsigned> failures;
  struct Delayed {
    MonoTime at;
    Clock::TimerId timer;
  };
  std::unordered_map<std::string, Delayed> delayed;

  void enqueue(std::string key) {
    queue.push_back(std::move(key));
    ready.notifyOne();
  }

  void add(std::string key) {
    if (down || !dirty.insert(key).second || processing.contains(key)) return;
    enqueue(std::move(key));
  }
};

WorkQueue::WorkQueue(Clock& clock, Rng& rng, Duration baseDelay, Duration maxDelay)
    : state_(std::make_shared<State>(clock, rng, baseDelay, maxDelay)) {}

WorkQueue::~WorkQueue() {
  shutDown();
}

void WorkQueue::add(std::string key) {
  state_->add(std::move(key));
}

void WorkQueue::addAfter(std::string key, Duration delay) {
  State& s = *state_;
  if (s.down) return;
  if (delay <= Duration::zero()) return s.add(std::move(key));
  const MonoTime at = s.clock.now() + delay;
  auto [it, isNew] = s.delayed.try_emplace(key);
  // Of several delayed additions of a key, the earliest counts.
  if (!isNew) {
    if (it->second.at <= at) return;
    s.clock.cancel(it->second.timer);
  }
  // shutDown() cancels the timer, so that it never outlives the state.
  auto fire = [state = state_.get(), key = std::move(key)] {
    state->delayed.erase(key);
    state->add(key);
  };
  it->second = {at, s.clock.schedule(at, std::move(fire))};
}

void WorkQueue::addRateLimited(std::string key) {
  State& s = *state_;
  Duration delay = s.baseDelay;
  unsigned& failures = s.failures[key];
  for (unsigned i = 0; i < failures && delay < s.maxDelay; ++i) delay *= 2;
  ++failures;
  delay = std::min(delay, s.maxDelay);
  // Between half and all of it, so that keys that failed together come back apart.
  const auto half = static_cast<std::uint64_t>(delay.count() / 2);
  addAfter(std::move(key),
           Duration(delay.count() - static_cast<Duration::rep>(s.rng.below(half + 1))));
}

void WorkQueue::forget(const std::string& key) {
  state_->failures.erase(key);
}

Co<std::optional<std::string>> WorkQueue::get() {
  auto state = state_;
  while (!state->down && state->queue.empty()) co_await state->ready.wait();
  if (state->down) co_return std::nullopt;
  std::string key = std::move(state->queue.front());
  state->queue.pop_front();
  state->dirty.erase(key);
  state->processing.insert(key);
  co_return key;
}

void WorkQueue::done(const std::string& key) {
  state_->processing.erase(key);
  if (!state_->down && state_->dirty.contains(key)) state_->enqueue(key);
}

void WorkQueue::shutDown() {
  State& s = *state_;
  s.down = true;
  for (const auto& [key, delayed] : s.delayed) s.clock.cancel(delayed.timer);
  s.delayed.clear();
  s.ready.notifyAll();
}

std::size_t WorkQueue::size() const {
  return state_->queue.size();
}

}  // namespace podlab::client
