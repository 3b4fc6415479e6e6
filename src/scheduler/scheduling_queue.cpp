#include "scheduler/scheduling_queue.hpp"

#include <algorithm>

namespace podlab::scheduler {
namespace {

constexpr Duration kFirstBackoff = std::chrono::seconds(1);
constexpr Duration kLongestBackoff = std::chrono::seconds(10);
constexpr Duration kLongestWait = std::chrono::minutes(5);

Duration backoffAfter(int attempts) {
  Duration delay = kFirstBackoff;
  for (int i = 1; i < attempts && delay < kLongestBackoff; ++i) delay *= 2;
  return std::min(delay, kLongestBackoff);
}

}  // namespace

void SchedulingQueue::add(Pod pod, bool alone) {
  const auto [entry, isNew] = waiters_.try_emplace(pod->key);
  Waiter& waiter = entry->second;
  if (isNew) {
    waiter.arrival = ++arrivals_;
  } else {
    takeOut(waiter);
  }
  waiter.pod = std::move(pod);
  waiter.notBefore = MonoTime::min();
  join(waiter, alone);
  // How it failed says nothing of what it is now.
  if (alone) waiter.group->failure = {};
  activate(waiter);
}

void SchedulingQueue::refresh(Pod pod) {
  waiters_.at(pod->key).pod = std::move(pod);
}

void SchedulingQueue::remove(const std::string& key) {
  const auto entry = waiters_.find(key);
  if (entry == waiters_.end()) return;
  takeOut(entry->second);
  leave(entry->second);
  waiters_.erase(entry);
}

const PodInfo* SchedulingQueue::find(const std::string& key) const {
  const auto entry = waiters_.find(key);
  return entry == waiters_.end() ? nullptr : entry->second.pod.get();
}

bool SchedulingQueue::isOut(const std::string& key) const {
  const auto entry = waiters_.find(key);
  return entry != waiters_.end() && entry->second.place == Place::kOut;
}

SchedulingQueue::Pod SchedulingQueue::pop(MonoTime now) {
  while (!backoff_.empty() && backoff_.begin()->first.first <= now) {
    Waiter& waiter = *backoff_.begin()->second;
    backoff_.erase(backoff_.begin());
    activate(waiter);
  }
  while (!flushes_.empty() && flushes_.begin()->first.first <= now) {
    Waiter& waiter = *flushes_.begin()->second;
    takeOut(waiter);
    activate(waiter);
  }
  if (active_.empty()) return nullptr;
  Waiter& waiter = *active_.begin()->second;
  active_.erase(active_.begin());
  waiter.place = Place::kOut;
  ++waiter.attempts;
  waiter.notBefore = now + backoffAfter(waiter.attempts);
  return waiter.pod;
}

const SchedulingQueue::Failure* SchedulingQueue::knownFailure(const std::string& key,
                                                              std::uint64_t version) const {
  const Failure& failure = waiters_.at(key).group->failure;
  return failure.version == version ? &failure : nullptr;
}

void SchedulingQueue::placed(const std::string& key, MonoTime now) {
  Waiter& waiter = waiters_.at(key);
  Group& group = *waiter.group;
  if (group.envoy != &waiter) return;
  group.envoy = nullptr;
  if (group.woken) sendEnvoy(group, now);
}

void SchedulingQueue::fail(const std::string& key, Failure failure, bool alone, MonoTime now) {
  Waiter& waiter = waiters_.at(key);
  join(waiter, alone);
  Group& group = *waiter.group;
  group.failure = std::move(failure);
  group.woken = false;
  if (group.envoy == &waiter) group.envoy = nullptr;
  waiter.place = Place::kCooling;
  group.cooling.emplace(std::pair(waiter.notBefore, waiter.arrival), &waiter);
  waiter.flushAt = now + kLongestWait;
  flushes_.emplace(std::pair(waiter.flushAt, waiter.arrival), &waiter);
}

void SchedulingQueue::retry(const std::string& key, bool alone, MonoTime now) {
  Waiter& waiter = waiters_.at(key);
  takeOut(waiter);
  join(waiter, alone);
  if (waiter.notBefore > now) {
    backOff(waiter);
  } else {
    activate(waiter);
  }
}

void SchedulingQueue::wake(const std::function<bool(const PodInfo&, FilterSet&)>& helps,
                           MonoTime now) {
  for (auto& [key, group] : groups_) {
    if (!group.waits()) continue;
    const Waiter& one =
        group.resting.empty() ? *group.cooling.begin()->second : *group.resting.begin()->second;
    if (helps(*one.pod, group.failure.rejectedBy)) wakeGroup(group, now);
  }
}

void SchedulingQueue::wakePod(const std::string& key, MonoTime now) {
  const auto entry = waiters_.find(key);
  if (entry != waiters_.end() && entry->second.group->waits()) wakeGroup(*entry->second.group, now);
}

std::optional<MonoTime> SchedulingQueue::nextDue() const {
  if (!active_.empty()) return MonoTime::min();
  std::optional<MonoTime> due;
  if (!backoff_.empty()) due = backoff_.begin()->first.first;
  if (!flushes_.empty())
    due = std::min(due.value_or(MonoTime::max()), flushes_.begin()->first.first);
  return due;
}

/// The group that its pod belongs to now, in place of the one that it is in.
void SchedulingQueue::join(Waiter& waiter, bool alone) {
  const PodInfo& pod = *waiter.pod;
  GroupKey key(pod.shape.get(), pod.priority, pod.preempts, alone ? pod.key : "");
  if (waiter.group != nullptr && waiter.group->key == key) return;
  if (waiter.group != nullptr) leave(waiter);
  Group& group = groups_[key];
  group.key = std::move(key);
  group.shape = pod.shape;
  ++group.members;
  waiter.group = &group;
}

void SchedulingQueue::leave(Waiter& waiter) {
  Group& group = *waiter.group;
  const bool wasEnvoy = group.envoy == &waiter;
  if (wasEnvoy) group.envoy = nullptr;
  waiter.group = nullptr;
  if (--group.members == 0) {
    groups_.erase(GroupKey(group.key));
  } else if (wasEnvoy && group.woken) {
    sendEnvoy(group, MonoTime::min());
  }
}

/// From wherever it waits.
void SchedulingQueue::takeOut(Waiter& waiter) {
  Group& group = *waiter.group;
  switch (waiter.place) {
    case Place::kActive:
      active_.erase({-static_cast<std::int64_t>(waiter.pod->priority), waiter.arrival});
      break;
    case Place::kBackoff:
      backoff_.erase({waiter.notBefore, waiter.arrival});
      break;
    case Place::kCooling:
      group.cooling.erase({waiter.notBefore, waiter.arrival});
      break;
    case Place::kResting:
      group.resting.erase(waiter.arrival);
      break;
    case Place::kOut:
      break;
  }
  if (waiter.place == Place::kCooling || waiter.place == Place::kResting)
    flushes_.erase({waiter.flushAt, waiter.arrival});
  waiter.place = Place::kOut;
}

void SchedulingQueue::activate(Waiter& waiter) {
  waiter.place = Place::kActive;
  active_.emplace(ActiveKey(-static_cast<std::int64_t>(waiter.pod->priority), waiter.arrival),
                  &waiter);
}

void SchedulingQueue::backOff(Waiter& waiter) {
  waiter.place = Place::kBackoff;
  backoff_.emplace(std::pair(waiter.notBefore, waiter.arrival), &waiter);
}

void SchedulingQueue::wakeGroup(Group& group, MonoTime now) {
  group.woken = true;
  if (group.envoy == nullptr) sendEnvoy(group, now);
}

/// The pod that has waited longest of those that may be tried, or the one whose back-off ends
/// first.
void SchedulingQueue::sendEnvoy(Group& group, MonoTime now) {
  while (!group.cooling.empty() && group.cooling.begin()->first.first <= now) {
    Waiter& waiter = *group.cooling.begin()->second;
    group.cooling.erase(group.cooling.begin());
    waiter.place = Place::kResting;
    group.resting.emplace(waiter.arrival, &waiter);
  }
  if (group.resting.empty() && group.cooling.empty()) return;
  const bool isRested = !group.resting.empty();
  Waiter& waiter = isRested ? *group.resting.begin()->second : *group.cooling.begin()->second;
  takeOut(waiter);
  group.envoy = &waiter;
  if (isRested) {
    activate(waiter);
  } else {
    backOff(waiter);
  }
}

}  // namespace podlab::scheduler
