#include "scheduler/scheduler.hpp"

#include <algorithm>

#include "api/conditions.hpp"
#include "scheduler/scores.hpp"

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

/// Whether a pod that has a node uses a claim that this one may only have to itself
/// (kube-scheduler's VolumeRestrictions).
bool lacksExclusiveClaim(const PodInfo& pod, const Snapshot& snapshot) {
  if (pod.volumes.exclusive.empty()) return false;
  const auto conflicts = [&pod](const auto& entry) {
    return entry.first != pod.key &&
           std::ranges::any_of(entry.second->claims, [&pod](const std::string& claim) {
             return std::ranges::find(pod.volumes.exclusive, claim) != pod.volumes.exclusive.end();
           });
  };
  return std::ranges::any_of(snapshot, [&conflicts](const auto& node) {
    return std::ranges::any_of(node.second.pods(), conflicts);
  });
}

}  // namespace

std::string Diagnosis::toString() const {
  std::string text = "0/" + std::to_string(nodes) + " nodes are available";
  if (!blocked.empty()) return text + ": " + blocked + ".";
  // Upstream sorts the counted texts, not the reasons.
  std::set<std::string> parts;
  for (const auto& [reason, count] : reasons) parts.insert(std::to_string(count) + " " + reason);
  const char* separator = ": ";
  for (const auto& part : parts) {
    text += separator + part;
    separator = ", ";
  }
  return text + ".";
}

Choice chooseNaively(const PodInfo& pod, const Snapshot& snapshot, const std::string& cursor) {
  Choice best;
  bool bestAfterCursor = false;
  best.diagnosis.blocked = pod.volumes.blocked;
  const bool claimTaken = lacksExclusiveClaim(pod, snapshot);
  for (const auto& [name, node] : snapshot) {
    if (!node.node()) continue;
    ++best.diagnosis.nodes;
    if (!best.diagnosis.blocked.empty()) continue;
    const Rejection rejection = runFilters(pod, node);
    for (const auto& reason : rejection.reasons) ++best.diagnosis.reasons[reason];
    if (!rejection.filter.empty()) continue;
    if (claimTaken) {
      ++best.diagnosis.reasons
            ["node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod "
             "access mode"];
      continue;
    }
    const std::int64_t score = totalScore(pod, node);
    const bool afterCursor = name >= cursor;
    if (best.node.empty() || score > best.score ||
        (score == best.score && afterCursor && !bestAfterCursor)) {
      best.node = name;
      best.score = score;
      bestAfterCursor = afterCursor;
    }
  }
  return best;
}

Scheduler::QueueKey Scheduler::queueKey(const Pending& pending) {
  return {pending.info->pod->spec().priority(), pending.arrival, pending.info->key};
}

void Scheduler::setNode(NodePtr node, MonoTime now) {
  const std::string name = node->metadata().name();
  snapshot_[name].setNode(std::move(node));
  wakeForNode(name, now);
}

void Scheduler::removeNode(const std::string& name) {
  const auto it = snapshot_.find(name);
  if (it == snapshot_.end()) return;
  it->second.setNode(nullptr);
  if (it->second.pods().empty()) snapshot_.erase(it);
}

void Scheduler::setPod(PodPtr pod, MonoTime now, VolumeNeeds needs) {
  auto info = std::make_shared<PodInfo>(pod, std::move(needs));
  const std::string& key = info->key;
  const auto& spec = pod->spec();
  if (api::isFinished(*pod)) return removePod(key, now);
  if (!spec.nodename().empty()) {
    dequeue(key);
    pending_.erase(key);
    const auto placed = placed_.find(key);
    const bool moved = placed != placed_.end() && placed->second != spec.nodename();
    if (moved) unplace(key, now);
    if (placed_.contains(key)) snapshot_[spec.nodename()].remove(key);
    info->pod = nullptr;
    place(key, spec.nodename(), std::move(info));
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

  Choice choice = chooseNaively(*pending.info, snapshot_, cursor_);
  if (choice.node.empty()) {
    pending.wait = Wait::kUnschedulable;
  } else {
    pending.wait = Wait::kAssumed;
    place(pending.info->key, choice.node, pending.info);
    // The next tie is broken in favour of the nodes after this one: '\0' makes the smallest name
    // beyond it.
    cursor_ = choice.node + '\0';
  }
  return Decision{pending.info->pod, std::move(choice)};
}

std::optional<MonoTime> Scheduler::nextDue() const {
  if (!active_.empty()) return MonoTime::min();
  if (backoff_.empty()) return std::nullopt;
  return backoff_.begin()->first;
}

void Scheduler::place(const std::string& key, std::string node,
                      std::shared_ptr<const PodInfo> info) {
  snapshot_[node].add(std::move(info));
  placed_[key] = std::move(node);
}

void Scheduler::unplace(const std::string& key, MonoTime now) {
  const auto placed = placed_.find(key);
  if (placed == placed_.end()) return;
  const std::string node = placed->second;
  placed_.erase(placed);
  const auto it = snapshot_.find(node);
  it->second.remove(key);
  if (!it->second.node() && it->second.pods().empty()) {
    snapshot_.erase(it);
  } else {
    wakeForNode(node, now);
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

void Scheduler::wakeForNode(const std::string& name, MonoTime now) {
  const auto node = snapshot_.find(name);
  if (node == snapshot_.end() || !node->second.node()) return;
  for (auto& [key, pending] : pending_) {
    if (pending.wait != Wait::kUnschedulable) continue;
    if (runFilters(*pending.info, node->second).filter.empty() &&
        !lacksExclusiveClaim(*pending.info, snapshot_))
      enqueue(pending, now);
  }
}

}  // namespace podlab::scheduler
