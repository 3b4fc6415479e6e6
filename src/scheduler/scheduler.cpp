#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <utility>

#include "api/conditions.hpp"
#include "scheduler/sampled.hpp"

namespace podlab::scheduler {
namespace {

/// Whether the pod is one to place: unbound, alive and not gated.
bool wantsNode(const corev1::Pod& pod) {
  return pod.spec().nodename().empty() && !pod.metadata().has_deletiontimestamp() &&
         pod.spec().schedulinggates().empty() && !api::isFinished(pod);
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

/// Whether a change of a waiting pod cannot change the decision.
bool decidedAlike(const PodInfo& a, const PodInfo& b) {
  return a.pod->metadata().uid() == b.pod->metadata().uid() && a.shape == b.shape &&
         a.priority == b.priority && a.preempts == b.preempts && sameNeeds(a.volumes, b.volumes) &&
         a.pod->spec().schedulername() == b.pod->spec().schedulername();
}

/// Whether two states of a placed pod count alike for others.
bool countsAlike(const PodInfo& a, const PodInfo& b) {
  return a.shape->key == b.shape->key && a.priority == b.priority &&
         a.isTerminating == b.isTerminating && a.claims == b.claims;
}

/// Whether nothing of the pod has changed that counts for others, but when it started.
bool isOf(const PodInfo& info, const corev1::Pod& pod) {
  const auto& metadata = pod.metadata();
  return info.generation != 0 && info.generation == metadata.generation() &&
         info.isTerminating == metadata.has_deletiontimestamp() &&
         api::sameLabels(info.shape->labels, metadata.labels());
}

}  // namespace

Scheduler::Scheduler(Rng& rng, std::vector<Profile> profiles)
    : rng_(rng), profiles_(std::move(profiles)) {}

void Scheduler::setNode(NodePtr node, MonoTime now) {
  const auto slot = snapshot_.slotOf(node->metadata().name());
  const auto* before = snapshot_.at(slot).node();
  const std::uint32_t kinds =
      before == nullptr ? ClusterEvent::kNodeAdded : changesOf(*before, *node);
  snapshot_.setNode(slot, std::move(node));
  index_.nodeChanged(slot);
  if (kinds == 0) return;
  changed({kinds, slot, nullptr}, now);
  for (const auto& pod : nominations_.on(snapshot_.name(slot))) queue_.wakePod(pod->key, now);
}

void Scheduler::removeNode(const std::string& name, MonoTime now) {
  const auto slot = snapshot_.find(name);
  if (slot == Snapshot::kNoSlot || snapshot_.at(slot).node() == nullptr) return;
  snapshot_.setNode(slot, nullptr);
  index_.nodeChanged(slot);
  if (snapshot_.at(slot).pods().empty()) snapshot_.release(slot);
  changed({ClusterEvent::kNodeRemoved, Snapshot::kNoSlot, nullptr}, now);
  for (const auto& pod : nominations_.on(name)) queue_.wakePod(pod->key, now);
}

void Scheduler::setNamespace(const std::string& name, const api::Labels* labels, MonoTime now) {
  const auto known = snapshot_.namespaces().find(name);
  const bool isSame = labels != nullptr && known != snapshot_.namespaces().end() &&
                      api::sameLabels(known->second, *labels);
  if (isSame) return;
  snapshot_.setNamespace(name, labels);
  index_.namespacesChanged();
  changed({ClusterEvent::kNamespaceLabels, Snapshot::kNoSlot, nullptr}, now);
}

void Scheduler::setPod(PodPtr pod, MonoTime now, VolumeNeeds needs,
                       const std::optional<api::LabelSelector>& defaultSelector) {
  const auto& spec = pod->spec();
  if (api::isFinished(*pod)) return removePod(api::keyOf(*pod), now);
  if (!spec.nodename().empty()) {
    const auto known = placed_.find(api::keyOf(*pod));
    if (known == placed_.end() || !isOf(*known->second.info, *pod))
      return setBound(std::make_shared<PodInfo>(pod, std::move(needs), &shapes_), spec.nodename(),
                      now);
    const PodInfo& info = *known->second.info;
    const bool isBound =
        info.pod == nullptr && snapshot_.name(known->second.slot) == spec.nodename();
    if (isBound && info.startedAt == startOf(*pod)) return;
    auto updated = std::make_shared<PodInfo>(info);
    updated->volumes = std::move(needs);
    updated->startedAt = startOf(*pod);
    return setBound(std::move(updated), spec.nodename(), now);
  }
  if (!wantsNode(*pod) || profileOf(*pod) == nullptr) return removePod(api::keyOf(*pod), now);

  auto info = std::make_shared<PodInfo>(pod, std::move(needs), &shapes_, defaultSelector);
  const PodInfo* before = queue_.find(info->key);
  if (before != nullptr && before->pod->metadata().uid() != pod->metadata().uid()) {
    removePod(info->key, now);
    before = nullptr;
  }
  // What this scheduler has nominated itself it knows better than a cache that lags.
  const auto* nominated = nominations_.nodeOf(info->key);
  if (nominated != nullptr) {
    nominate(info, std::string(*nominated));
  } else if (before == nullptr && !pod->status().nominatednodename().empty()) {
    nominate(info, pod->status().nominatednodename());
  }
  // An assumed pod that changes keeps its decision, and is decided as it is now should the binding
  // fail.
  if (before != nullptr && (queue_.isOut(info->key) || decidedAlike(*before, *info)))
    return queue_.refresh(std::move(info));
  queue_.add(info, isAlone(*info));
}

void Scheduler::setBound(std::shared_ptr<PodInfo> info, const std::string& node, MonoTime now) {
  info->pod = nullptr;
  victims_.erase(info->key);
  queue_.remove(info->key);
  const auto known = placed_.find(info->key);
  const bool isThere = known != placed_.end() && snapshot_.name(known->second.slot) == node &&
                       countsAlike(*known->second.info, *info);
  if (!isThere) {
    unplace(info->key, now);
    place(snapshot_.slotOf(node), info, now);
  } else if (known->second.info->pod != nullptr ||
             known->second.info->startedAt != info->startedAt) {
    // The same for all who count it.
    info->shape = known->second.info->shape;
    snapshot_.at(known->second.slot).remove(info->key);
    snapshot_.at(known->second.slot).add(info);
    known->second.info = info;
  }
  clearNomination(*info, now);
}

void Scheduler::removePod(const std::string& key, MonoTime now) {
  if (const PodInfo* info = queue_.find(key)) {
    const PodInfo gone = *info;
    queue_.remove(key);
    clearNomination(gone, now);
  }
  victims_.erase(key);
  unplace(key, now);
}

void Scheduler::bindFailed(const std::string& key, MonoTime now) {
  if (!queue_.isOut(key)) return;
  unplace(key, now);
  queue_.retry(key, isAlone(*queue_.find(key)), now);
}

void Scheduler::preemptionFailed(const std::string& key, MonoTime now) {
  const PodInfo* info = queue_.find(key);
  if (info == nullptr || queue_.isOut(key)) return;
  victims_.erase(key);
  clearNomination(*info, now);
  queue_.retry(key, isAlone(*info), now);
}

std::optional<Scheduler::Decision> Scheduler::decideNext(MonoTime now) {
  const auto info = queue_.pop(now);
  if (!info) return std::nullopt;
  Decision decision;
  decision.pod = info->pod;
  if (const auto* known = queue_.knownFailure(info->key, version_)) {
    decision.choice.diagnosis = known->diagnosis;
    queue_.fail(info->key, SchedulingQueue::Failure(*known), isAlone(*info), now);
    return decision;
  }
  const Profile& profile = *profileOf(*info->pod);
  decision.choice = choose(*info, profile);
  if (!decision.choice.found()) {
    decideFailed(info, decision, now);
    return decision;
  }
  decision.node = snapshot_.name(decision.choice.slot);
  // The next tie is broken in favour of the nodes after this one.
  cursor_ = decision.choice.slot + 1;
  place(decision.choice.slot, info, now);
  clearNomination(*info, now);
  victims_.erase(info->key);
  queue_.placed(info->key, now);
  return decision;
}

Choice Scheduler::choose(const PodInfo& info, const Profile& profile) {
  if (const auto* nominated = nominations_.nodeOf(info.key)) {
    // The pod has had this room made for it: it is not weighed against other nodes.
    const auto slot = snapshot_.find(*nominated);
    if (slot != Snapshot::kNoSlot && snapshot_.at(slot).node() != nullptr) {
      const PodFilter filter(info, snapshot_);
      NodeVerdict verdict{
          slot, rejectWith(nominations_.ahead(info, *nominated), filter, snapshot_.at(slot))};
      if (verdict.passes())
        return chooseAmong(info, snapshot_, {std::move(verdict)}, cursor_, profile.resources);
    }
  }
  if (profile.sampled)
    return chooseSampled(info, snapshot_, nominations_, profile.resources, sampleStart_, rng_);
  if (!nominations_.concern(info)) {
    // Why there is none, decideFailed() finds out.
    const auto found = index_.choose(info, cursor_, profile.resources);
    if (found) return {found->slot, found->score, {}};
    return chooseNaively(info, snapshot_, cursor_, profile.resources);
  }
  return chooseAmong(info, snapshot_, filterNodes(info, snapshot_, nominations_), cursor_,
                     profile.resources);
}

void Scheduler::decideFailed(const std::shared_ptr<const PodInfo>& pod, Decision& decision,
                             MonoTime now) {
  const PodInfo& info = *pod;
  SchedulingQueue::Failure failure{version_, 0, decision.choice.diagnosis};
  const bool isBlocked = !info.volumes.blocked.empty();
  const auto verdicts =
      isBlocked ? std::vector<NodeVerdict>() : filterNodes(info, snapshot_, nominations_);
  Diagnosis& diagnosis = decision.choice.diagnosis;
  diagnosis = diagnose(info, snapshot_, verdicts);
  failure.rejectedBy = filtersOf(verdicts);
  diagnosis.preemption = whyNotPreempt(info, verdicts);
  if (diagnosis.preemption.empty() && diagnosis.nodes > 0) {
    auto preemption = preempt(info, snapshot_, verdicts, budgets_, nominations_);
    failure.rejectedBy |= preemption.rejectedBy;
    if (preemption.best) {
      makeRoom(pod, *preemption.best, decision, now);
    } else {
      diagnosis.preemption = preemption.diagnosis.toString();
      if (!isBlocked && nominations_.nodeOf(info.key) != nullptr) {
        decision.nominated = "";
        victims_.erase(info.key);
        clearNomination(info, now);
      }
    }
  }
  failure.diagnosis = diagnosis;
  queue_.fail(info.key, std::move(failure), isAlone(info), now);
}

void Scheduler::makeRoom(const std::shared_ptr<const PodInfo>& pod, const Victims& victims,
                         Decision& decision, MonoTime now) {
  const std::string& node = snapshot_.name(victims.slot);
  decision.nominated = node;
  for (const auto& victim : victims.pods) decision.victims.push_back(victim->key);
  victims_[pod->key] = decision.victims;
  nominate(pod, node);
  for (const auto& other : nominations_.behind(*pod, node)) {
    decision.displaced.push_back(other->key);
    victims_.erase(other->key);
    clearNomination(*other, now);
    queue_.wakePod(other->key, now);
  }
}

std::string Scheduler::whyNotPreempt(const PodInfo& info,
                                     const std::vector<NodeVerdict>& verdicts) const {
  if (!info.preempts) return "not eligible due to preemptionPolicy=Never.";
  const auto* nominated = nominations_.nodeOf(info.key);
  if (nominated == nullptr) return "";
  const auto slot = snapshot_.find(*nominated);
  const auto verdict = std::ranges::find(verdicts, slot, &NodeVerdict::slot);
  // A node that is out for good sets the pod free to look for another.
  if (verdict == verdicts.end() || !verdict->rejection.resolvable) return "";
  const auto known = victims_.find(info.key);
  const bool isLeaving = std::ranges::any_of(snapshot_.at(slot).pods(), [&](const auto& pod) {
    return pod->priority < info.priority &&
           (pod->isTerminating ||
            (known != victims_.end() &&
             std::ranges::find(known->second, pod->key) != known->second.end()));
  });
  return isLeaving ? "not eligible due to a terminating pod on the nominated node." : "";
}

void Scheduler::place(Snapshot::Slot slot, std::shared_ptr<const PodInfo> info, MonoTime now) {
  snapshot_.at(slot).add(info);
  index_.podAdded(slot, *info);
  placed_[info->key] = {slot, info};
  changed({ClusterEvent::kPodAdded, slot, info.get()}, now);
}

void Scheduler::unplace(const std::string& key, MonoTime now) {
  const auto placed = placed_.find(key);
  if (placed == placed_.end()) return;
  const Placed gone = std::move(placed->second);
  placed_.erase(placed);
  NodeInfo& node = snapshot_.at(gone.slot);
  node.remove(key);
  index_.podRemoved(gone.slot, *gone.info);
  const bool released = node.node() == nullptr && node.pods().empty();
  if (released) snapshot_.release(gone.slot);
  changed({ClusterEvent::kPodRemoved, released ? Snapshot::kNoSlot : gone.slot, gone.info.get()},
          now);
}

void Scheduler::nominate(std::shared_ptr<const PodInfo> info, const std::string& node) {
  nominations_.set(std::move(info), node);
  ++version_;
}

void Scheduler::clearNomination(const PodInfo& info, MonoTime now) {
  const auto* node = nominations_.nodeOf(info.key);
  if (node == nullptr) return;
  const auto slot = snapshot_.find(*node);
  nominations_.clear(info.key);
  changed({ClusterEvent::kPodRemoved, slot, &info}, now);
}

void Scheduler::changed(const ClusterEvent& event, MonoTime now) {
  ++version_;
  queue_.wake([&](const PodInfo& waiting,
                  FilterSet& rejectedBy) { return mayHelp(event, waiting, rejectedBy, snapshot_); },
              now);
}

bool Scheduler::isAlone(const PodInfo& info) const {
  return !info.volumes.empty() || nominations_.nodeOf(info.key) != nullptr;
}

const Profile* Scheduler::profileOf(const corev1::Pod& pod) const {
  const auto& name = pod.spec().schedulername();
  const auto found =
      name.empty() ? profiles_.begin() : std::ranges::find(profiles_, name, &Profile::name);
  return found == profiles_.end() ? nullptr : &*found;
}

}  // namespace podlab::scheduler
