#include "scheduler/scheduler.hpp"

#include <algorithm>

#include "api/conditions.hpp"

namespace podlab::scheduler {
namespace {

constexpr Duration kFirstBackoff = std::chrono::seconds(1);
constexpr Duration kLongestBackoff = std::chrono::seconds(10);

Duration backoffAfter(int attempts) {
  Duration delay = kFirstBackoff;
  for (int i = 1; i < attempts && delay < kLongestBackoff; ++i) delay *= 2;
  return std::min(delay, kLongestBackoff);
}

/// Whether the pod is one for us to place: unbound, alive and not gated.
bool wantsNode(const corev1::Pod& pod) {
  return pod.spec().nodename().empty() && !pod.metadata().has_deletiontimestamp() &&
         pod.spec().schedulinggates().empty() && !api::isFinished(pod);
}

/// Whether a change of the pod cannot change the decision.
bool sameSpec(const corev1::Pod& a, const corev1::Pod& b) {
  return a.spec().SerializeAsString() == b.spec().SerializeAsString();
}

bool sameSelectors(const std::vector<corev1::NodeSelector>& a,
                   const std::vector<corev1::NodeSelector>& b) {
  return std::ranges::equal(a, b, {}, &corev1::NodeSelector::SerializeAsString,
                            &corev1::NodeSelector::SerializeAsString);
}

bool sameNeeds(const VolumeNeeds& a, const VolumeNeeds& b) {
  const auto sameClaim = [](const UnboundClaim& x, const UnboundClaim& y) {
    return x.name == y.name && x.anywhere == y.anywhere && sameSelectors(x.places, y.places);
  };
  return a.blocked == b.blocked && sameSelectors(a.affinities, b.affinities) &&
         a.exclusive == b.exclusive && std::ranges::equal(a.unbound, b.unbound, sameClaim);
}

}  // namespace

Scheduler::QueueKey Scheduler::queueKey(const Pending& pending) {
  return {pending.info->pod->spec().priority(), pending.arrival, pending.info->key};
}

void Scheduler::setNode(NodePtr node, MonoTime now) {
  const auto slot = snapshot_.slotOf(node->metadata().name());
  snapshot_.setNode(slot, std::move(node));
  wakeForNode(slot, now);
}

void Scheduler::removeNode(const std::string& name) {
  const auto slot = snapshot_.find(name);
  if (slot == Snapshot::kNoSlot) return;
  snapshot_.setNode(slot, nullptr);
  if (snapshot_.at(slot).pods().empty()) snapshot_.release(slot);
}

void Scheduler::setPod(PodPtr pod, MonoTime now, VolumeNeeds needs,
                       const std::optional<api::LabelSelector>& defaultSelector) {
  auto info = std::make_shared<PodInfo>(pod, std::move(needs), &shapes_, defaultSelector);
  const std::string& key = info->key;
  const auto& spec = pod->spec();
  if (api::isFinished(*pod)) return removePod(key, now);
  if (!spec.nodename().empty()) {
    dequeue(key);
    pending_.erase(key);
    const auto slot = snapshot_.slotOf(spec.nodename());
    const auto placed = placed_.find(key);
    if (placed != placed_.end() && placed->second == slot) {
      snapshot_.at(slot).remove(key);
    } else if (placed != placed_.end()) {
      unplace(key, now);
    }
    info->pod = nullptr;
    place(key, slot, std::move(info));
    return;
  }
  if (!wantsNode(*info->pod)) return removePod(key, now);

  const auto [it, isNew] = pending_.try_emplace(key);
  Pending& pending = it->second;
  // An assumed pod that changes keeps its decision, and is decided as it is now should the binding
  // fail.
  const bool keep = !isNew && (pending.wait == Wait::kAssumed ||
                               (sameSpec(*pending.info->pod, *info->pod) &&
                                sameNeeds(pending.info->volumes, info->volumes)));
  if (keep) {
    pending.info = std::move(info);
    return;
  }
  if (!isNew) dequeue(key);
  if (isNew) pending.arrival = ++arrivals_;
  pending.info = std::move(info);
  pending.notBefore = MonoTime::min();
  enqueue(pending, now);
}

void Scheduler::removePod(const std::string& key, MonoTime now) {
  dequeue(key);
  pending_.erase(key);
  unplace(key, now);
}

void Scheduler::bindFailed(const std::string& key, MonoTime now) {
  const auto it = pending_.find(key);
  if (it == pending_.end() || it->second.wait != Wait::kAssumed) return;
  unplace(key, now);
  enqueue(it->second, now);
}

std::optional<Scheduler::Decision> Scheduler::decideNext(MonoTime now) {
  while (!backoff_.empty() && backoff_.begin()->first <= now) {
    Pending& pending = pending_.at(backoff_.begin()->second);
    backoff_.erase(backoff_.begin());
    pending.wait = Wait::kActive;
    active_.insert(queueKey(pending));
  }
  if (active_.empty()) return std::nullopt;
  Pending& pending = pending_.at(active_.begin()->pod);
  active_.erase(active_.begin());
  ++pending.attempts;
  pending.notBefore = now + backoffAfter(pending.attempts);

  Decision decision{pending.info->pod, "", chooseNaively(*pending.info, snapshot_, cursor_)};
  if (!decision.choice.found()) {
    pending.wait = Wait::kUnschedulable;
    return decision;
  }
  pending.wait = Wait::kAssumed;
  decision.node = snapshot_.name(decision.choice.slot);
  place(pending.info->key, decision.choice.slot, pending.info);
  // The next tie is broken in favour of the nodes after this one.
  cursor_ = decision.choice.slot + 1;
  return decision;
}

std::optional<MonoTime> Scheduler::nextDue() const {
  if (!active_.empty()) return MonoTime::min();
  if (backoff_.empty()) return std::nullopt;
  return backoff_.begin()->first;
}

void Scheduler::place(const std::string& key, Snapshot::Slot slot,
                      std::shared_ptr<const PodInfo> info) {
  snapshot_.at(slot).add(std::move(info));
  placed_[key] = slot;
}

void Scheduler::unplace(const std::string& key, MonoTime now) {
  const auto placed = placed_.find(key);
  if (placed == placed_.end()) return;
  const auto slot = placed->second;
  placed_.erase(placed);
  NodeInfo& node = snapshot_.at(slot);
  node.remove(key);
  if (node.node() == nullptr && node.pods().empty()) {
    snapshot_.release(slot);
  } else {
    wakeForNode(slot, now);
  }
}

void Scheduler::enqueue(Pending& pending, MonoTime now) {
  if (pending.notBefore > now) {
    pending.wait = Wait::kBackoff;
    backoff_.emplace(pending.notBefore, pending.info->key);
  } else {
    pending.wait = Wait::kActive;
    active_.insert(queueKey(pending));
  }
}

void Scheduler::dequeue(const std::string& key) {
  const auto it = pending_.find(key);
  if (it == pending_.end()) return;
  active_.erase(queueKey(it->second));
  backoff_.erase({it->second.notBefore, key});
}

void Scheduler::wakeForNode(Snapshot::Slot slot, MonoTime now) {
  const NodeInfo& node = snapshot_.at(slot);
  if (node.node() == nullptr) return;
  // A pod that other nodes' pods keep away may be let in by what changed here.
  const auto mayFit = [&](const PodInfo& pod) {
    return !pod.shape->terms.empty() || runFilters(pod, node).filter.empty();
  };
  for (auto& [key, pending] : pending_) {
    if (pending.wait == Wait::kUnschedulable && mayFit(*pending.info)) enqueue(pending, now);
  }
}

}  // namespace podlab::scheduler
