#include "controllers/stateful_sync.hpp"

#include <algorithm>
#include <utility>

#include "api/conditions.hpp"
#include "api/int_or_percent.hpp"
#include "controllers/owned_pods.hpp"
#include "controllers/status_write.hpp"

namespace podlab::controllers {
namespace {

using appsv1::StatefulSet;

bool isTerminating(const PodPtr& pod) {
  return pod->metadata().has_deletiontimestamp();
}

bool isRunningAndReady(const PodPtr& pod) {
  return pod->status().phase() == "Running" && api::isTrue(pod->status(), "Ready");
}

bool isHealthy(const PodPtr& pod) {
  return isRunningAndReady(pod) && !isTerminating(pod);
}

}  // namespace

StatefulSync::StatefulSync(Context& context, client::EventRecorder& events, StatefulSetPtr set,
                           History history, const std::vector<api::ObjectPtr>& pods)
    : context_(context),
      events_(events),
      set_(std::move(set)),
      history_(std::move(history)),
      current_([this] {
        const RevisionPtr known = history_.find(set_->status().currentrevision());
        return known ? known : history_.present;
      }()) {
  const std::int32_t start = spec().ordinals().start();
  for (std::int32_t i = 0; i < spec().replicas(); ++i) replicas_.push_back({start + i, nullptr});
  for (const auto& object : pods) {
    const PodPtr pod = api::share<corev1::Pod>(object);
    const auto ordinal = ordinalOf(*set_, *pod);
    if (!ordinal) continue;
    const std::int64_t at = std::int64_t{*ordinal} - start;
    if (at >= 0 && at < spec().replicas()) {
      replicas_[static_cast<std::size_t>(at)].pod = pod;
    } else {
      condemned_.push_back({*ordinal, pod});
    }
  }
  std::ranges::sort(condemned_, std::greater<>(), &Slot::ordinal);
  const auto isUnhealthy = [](const Slot& slot) { return !slot.pod || !isHealthy(slot.pod); };
  if (const auto found = std::ranges::find_if(replicas_, isUnhealthy); found != replicas_.end()) {
    firstUnhealthy_ = found->pod;
  } else if (const auto last = std::find_if(condemned_.rbegin(), condemned_.rend(), isUnhealthy);
             last != condemned_.rend()) {
    firstUnhealthy_ = last->pod;
  }
}

bool StatefulSync::isAvailable(const PodPtr& pod) {
  if (!isRunningAndReady(pod)) return false;
  if (spec().minreadyseconds() == 0) return true;
  const auto since = availableSince(*pod, spec().minreadyseconds());
  const Duration left = *since - context_.clock.wallNow();
  if (left <= Duration::zero()) return true;
  again_ = std::min(again_.value_or(left), left);
  return false;
}

Co<Status> StatefulSync::run() {
  Status acted;
  if (!set_->metadata().has_deletiontimestamp()) acted = co_await act();
  const Status written = co_await writeStatus();
  co_return acted.ok() ? written : acted;
}

Co<Status> StatefulSync::act() {
  for (const Slot& slot : replicas_) {
    const auto on = co_await keep(slot);
    if (!on) co_return on.status();
    if (!*on) co_return Status();
  }
  for (const Slot& slot : condemned_) {
    const Status kept = co_await keepClaims(slot.ordinal, slot.pod, true);
    if (!kept.ok()) co_return kept;
  }
  for (const Slot& slot : condemned_) {
    const auto on = co_await condemn(slot.pod);
    if (!on) co_return on.status();
    if (!*on) co_return Status();
  }
  co_return spec().updatestrategy().type() == "OnDelete" ? Status() : co_await update();
}

Co<StatefulSync::GoOn> StatefulSync::keep(Slot slot) {
  const PodPtr& pod = slot.pod;
  if (pod && api::isFinished(*pod)) {
    // The next one can be made when this one is gone.
    if (isTerminating(pod)) co_return !ordered();
    const bool failed = pod->status().phase() == "Failed";
    events_.record(*set_, failed ? client::EventClass::kWarning : client::EventClass::kNormal,
                   failed ? "RecreatingFailedPod" : "RecreatingTerminatedPod",
                   "StatefulSet " + api::keyOf(*set_) + " is recreating " +
                       (failed ? "failed" : "terminated") + " Pod " + pod->metadata().name());
    const Status removed = co_await remove(pod);
    if (!removed.ok()) co_return removed;
    co_return !ordered();
  }
  if (hasStaleClaim(slot)) co_return false;
  if (!pod) {
    const Status created = co_await create(slot);
    if (!created.ok()) co_return created;
    co_return !ordered();
  }
  if (!isTerminating(pod)) {
    const Status kept = co_await keepIdentity(slot);
    if (!kept.ok()) co_return kept;
  }
  co_return !ordered() || (!isTerminating(pod) && isAvailable(pod));
}

Co<StatefulSync::GoOn> StatefulSync::condemn(PodPtr pod) {
  if (isTerminating(pod)) co_return !ordered();
  if (ordered() && pod != firstUnhealthy_ && !isAvailable(pod)) co_return false;
  const Status removed = co_await remove(pod);
  if (!removed.ok()) co_return removed;
  co_return !ordered();
}

std::int32_t StatefulSync::unavailable() {
  std::int32_t count = 0;
  for (const Slot& slot : replicas_) {
    if (!slot.pod || isTerminating(slot.pod) || !isAvailable(slot.pod)) ++count;
  }
  return count;
}

Co<Status> StatefulSync::update() {
  const auto& rolling = spec().updatestrategy().rollingupdate();
  const std::int32_t first = spec().ordinals().start() + rolling.partition();
  const bool counted = rolling.has_maxunavailable();
  std::int32_t allowed = 1;
  if (counted) {
    const auto most = api::scaledValue(rolling.maxunavailable(), spec().replicas(), true);
    allowed = std::max(most ? *most : 1, 1) - unavailable();
  }
  for (auto slot = replicas_.rbegin(); slot != replicas_.rend() && slot->ordinal >= first; ++slot) {
    if (allowed <= 0) break;
    const PodPtr pod = slot->pod;
    const bool old =
        pod && !isTerminating(pod) && revisionOf(*pod) != history_.present->metadata().name();
    if (old) {
      const Status removed = co_await remove(pod);
      if (!removed.ok()) co_return removed;
      --allowed;
    } else if (!counted && (!pod || isTerminating(pod) || !isAvailable(pod))) {
      break;
    }
  }
  co_return Status();
}

Co<Status> StatefulSync::writeStatus() {
  appsv1::StatefulSetStatus status = set_->status();
  std::int32_t replicas = 0, ready = 0, available = 0, current = 0, updated = 0;
  const std::string& present = history_.present->metadata().name();
  const std::string& before = current_->metadata().name();
  const auto selector = api::LabelSelector::of(spec().selector());
  for (const auto& key : context_.podsByOwner.of(set_->metadata().uid())) {
    const auto pod = api::share<corev1::Pod>(context_.pods.get(key));
    if (!ordinalOf(*set_, *pod) || !selector || !selector->matches(pod->metadata().labels()))
      continue;
    ++replicas;
    if (isRunningAndReady(pod)) {
      ++ready;
      if (isAvailable(pod)) ++available;
    }
    if (isTerminating(pod)) continue;
    if (revisionOf(*pod) == before) ++current;
    if (revisionOf(*pod) == present) ++updated;
  }
  const bool rolled = spec().updatestrategy().type() == "RollingUpdate" && updated == replicas &&
                      ready == replicas && replicas == spec().replicas();
  status.set_observedgeneration(set_->metadata().generation());
  status.set_replicas(replicas);
  status.set_readyreplicas(ready);
  status.set_availablereplicas(available);
  status.set_currentreplicas(rolled ? updated : current);
  status.set_updatedreplicas(updated);
  status.set_currentrevision(rolled ? present : before);
  status.set_updaterevision(present);
  if (!status.has_collisioncount()) status.set_collisioncount(0);
  co_return co_await controllers::writeStatus(context_, context_.statefulSets, set_,
                                              std::move(status));
}

}  // namespace podlab::controllers
