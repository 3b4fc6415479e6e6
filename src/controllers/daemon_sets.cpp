#include "controllers/daemon_sets.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "api/conditions.hpp"
#include "api/int_or_percent.hpp"
#include "api/kinds/rules.hpp"
#include "controllers/owned_pods.hpp"
#include "controllers/status_write.hpp"

namespace podlab::controllers {
namespace {

using appsv1::DaemonSet;
using client::EventClass;

constexpr std::size_t kWorkers = 4;
constexpr std::size_t kBurst = 250;  ///< pods made or deleted in one go
/// Many pods change at a time: a comparison looks at all nodes.
constexpr Duration kPause = std::chrono::milliseconds(50);
constexpr Duration kFirstBackOff = std::chrono::seconds(1);
constexpr Duration kLastBackOff = std::chrono::minutes(15);

bool isRolling(const DaemonSet& set) {
  return set.spec().updatestrategy().type() == "RollingUpdate";
}

/// Whether a change of the node may matter to a set.
bool concerns(const corev1::Node& before, const corev1::Node& now) {
  const auto& was = before.spec().taints();
  const auto& is = now.spec().taints();
  return !api::sameEntries(before.metadata().labels(), now.metadata().labels()) ||
         !std::equal(
             was.begin(), was.end(), is.begin(), is.end(), [](const auto& a, const auto& b) {
               return a.key() == b.key() && a.value() == b.value() && a.effect() == b.effect();
             });
}

}  // namespace

/// What one comparison of a set with its pods knows.
struct DaemonSetController::Sync {
  DaemonSetPtr set;
  DaemonRollout rollout;
  std::vector<std::shared_ptr<const corev1::Node>> nodes;
  std::map<std::string, Eligibility> eligible;  ///< by node
  DaemonsByNode pods;
};

DaemonSetController::DaemonSetController(Context& context, client::EventRecorder& events)
    : context_(context),
      events_(events),
      reconciler_("daemonsets", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }),
      owners_(
          context, context.daemonSets, "DaemonSet",
          [](const google::protobuf::Message& set) {
            return selectorOrNone(static_cast<const DaemonSet&>(set).spec().selector());
          },
          [this](std::string key) { reconciler_.addAfter(std::move(key), kPause); }) {
  client::Informer::Handlers nodes;
  nodes.added = [this](const api::ObjectPtr& node) {
    observeNode(nullptr, api::as<corev1::Node>(node));
  };
  nodes.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    observeNode(&api::as<corev1::Node>(before), api::as<corev1::Node>(now));
  };
  nodes.deleted = nodes.added;
  context_.nodes.addHandlers(std::move(nodes));
  client::Informer::Handlers sets;
  sets.deleted = [this](const api::ObjectPtr& set) {
    const std::string prefix = api::keyOf(*set) + "/";
    std::erase_if(backOffs_, [&](const auto& each) { return each.first.starts_with(prefix); });
  };
  context_.daemonSets.addHandlers(std::move(sets));
}

void DaemonSetController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

void DaemonSetController::observeNode(const corev1::Node* before, const corev1::Node& now) {
  if (before != nullptr && !concerns(*before, now)) return;
  for (const auto& set : context_.daemonSets.list()) reconciler_.add(api::keyOf(*set));
}

/// The pods as the cache has them now, by node. Those that have ended and are on their way out
/// count no more.
void DaemonSetController::readPods(Sync& sync) const {
  sync.pods.clear();
  const auto selector = selectorOrNone(sync.set->spec().selector());
  for (const auto& key : context_.podsByOwner.of(sync.set->metadata().uid())) {
    const auto pod = api::share<corev1::Pod>(context_.pods.get(key));
    if (!selector.matches(pod->metadata().labels())) continue;
    if (api::isFinished(*pod) && pod->metadata().has_deletiontimestamp()) continue;
    sync.pods[nodeFor(*pod)].push_back(pod);
  }
  for (auto& [node, pods] : sync.pods) {
    std::ranges::sort(pods, {}, [](const PodPtr& pod) {
      return std::tuple(pod->spec().nodename().empty(),
                        pod->metadata().creationtimestamp().seconds(), pod->metadata().name());
    });
  }
}

void DaemonSetController::findEnded(Sync& sync, const std::string& node, const PodPtr& pod,
                                    DaemonChanges& changes) {
  const std::string what =
      " daemon pod " + api::keyOf(*pod) + " on node " + node + ", will try to ";
  if (pod->status().phase() == "Succeeded") {
    events_.record(*sync.set, EventClass::kNormal, "SucceededDaemonPod",
                   "Found succeeded" + what + "delete it");
    changes.remove.push_back(pod);
    return;
  }
  // The node may refuse the pod for good.
  BackOff& backOff = backOffs_[api::keyOf(*sync.set) + "/" + node];
  const Duration waited = context_.clock.now() - backOff.since;
  if (waited < backOff.delay) {
    reconciler_.addAfter(api::keyOf(*sync.set), backOff.delay - waited);
    return;
  }
  const bool longAgo = waited > 2 * kLastBackOff;
  backOff.delay = longAgo || backOff.delay == Duration::zero()
                      ? kFirstBackOff
                      : std::min(backOff.delay * 2, kLastBackOff);
  backOff.since = context_.clock.now();
  events_.record(*sync.set, EventClass::kWarning, "FailedDaemonPod",
                 "Found failed" + what + "kill it");
  changes.remove.push_back(pod);
}

/// Pods on the right nodes, and nowhere else.
DaemonChanges DaemonSetController::manage(Sync& sync) {
  DaemonChanges changes;
  for (const auto& node : sync.nodes) {
    const std::string& name = node->metadata().name();
    const auto found = sync.pods.find(name);
    const Eligibility wanted = sync.eligible[name];
    if (found == sync.pods.end()) {
      if (wanted.run) changes.nodes.push_back(name);
      continue;
    }
    std::vector<PodPtr> running;
    for (const auto& pod : found->second) {
      if (pod->metadata().has_deletiontimestamp()) continue;
      if (!wanted.continues) {
        changes.remove.push_back(pod);
      } else if (api::isFinished(*pod)) {
        findEnded(sync, name, pod, changes);
      } else {
        running.push_back(pod);
      }
    }
    // With surge a pod on its way out does not keep the next one waiting.
    if (wanted.run && running.empty() && sync.rollout.maxSurge > 0) changes.nodes.push_back(name);
    const auto excess = excessDaemons(sync.rollout, std::move(running));
    changes.remove.insert(changes.remove.end(), excess.begin(), excess.end());
  }
  // Pods for nodes that are gone, or that say no node: nobody will ever bind them.
  for (const auto& [node, pods] : sync.pods) {
    if (sync.eligible.contains(node)) continue;
    for (const auto& pod : pods) {
      if (pod->spec().nodename().empty() && !pod->metadata().has_deletiontimestamp())
        changes.remove.push_back(pod);
    }
  }
  return changes;
}

DaemonChanges DaemonSetController::roll(const Sync& sync) const {
  DaemonsByNode pods = sync.pods;
  std::erase_if(pods, [&](const auto& each) { return !sync.eligible.contains(each.first); });
  for (const auto& [node, wanted] : sync.eligible) {
    if (wanted.run) pods[node];
  }
  return rollDaemons(sync.rollout, pods);
}

Co<Status> DaemonSetController::apply(DaemonSetPtr set, DaemonChanges changes, std::string hash) {
  changes.remove.resize(std::min(changes.remove.size(), kBurst));
  changes.nodes.resize(std::min(changes.nodes.size(), kBurst));
  std::vector<PodPtr> made;
  for (const auto& node : changes.nodes)
    made.push_back(std::make_shared<corev1::Pod>(daemonPod(*set, node, hash)));
  std::vector<api::ObjectPtr> removed(changes.remove.begin(), changes.remove.end());
  const Status created = co_await createPods(context_, events_, set, std::move(made));
  const Status deleted = co_await deletePods(context_, events_, set, std::move(removed));
  co_return created.ok() ? deleted : created;
}

Co<Status> DaemonSetController::reconcile(std::string key) {
  const auto object = context_.daemonSets.get(key);
  if (!object || api::meta(*object).has_deletiontimestamp()) co_return Status();
  const auto sync = std::make_shared<Sync>();
  sync->set = api::share<DaemonSet>(object);
  const auto& spec = sync->set->spec();
  auto selector = api::LabelSelector::of(spec.selector());
  if (!selector) co_return selector.status();
  const std::int32_t collisions = sync->set->status().collisioncount();
  auto history = co_await syncHistory(context_, object, *selector, spec.template_(), collisions);
  if (!history) co_return history.status();
  if (history->collided) co_return co_await writeStatus(sync, collisions + 1);
  OwnedObjects owned{context_.pods, context_.podsByOwner};
  auto claimed = co_await claim(context_, owned, object, std::move(*selector),
                                [](const google::protobuf::Message&) { return true; });
  if (!claimed) co_return claimed.status();

  std::int32_t desired = 0;
  const corev1::Pod daemon = daemonPod(*sync->set, "", "");
  corev1::Pod anywhere = daemon;
  *anywhere.mutable_spec()->mutable_affinity() = spec.template_().spec().affinity();
  for (const auto& each : context_.nodes.list()) {
    const auto node = api::share<corev1::Node>(each);
    const Eligibility wanted = eligibility(anywhere, *node);
    sync->eligible[node->metadata().name()] = wanted;
    sync->nodes.push_back(node);
    if (wanted.run) ++desired;
  }
  auto& rollout = sync->rollout;
  rollout.hash = history->present->metadata().labels().at(kRevisionHash);
  rollout.minReadySeconds = spec.minreadyseconds();
  rollout.now = context_.clock.wallNow();
  if (isRolling(*sync->set)) {
    const auto& rolling = spec.updatestrategy().rollingupdate();
    rollout.maxSurge = api::scaledValue(rolling.maxsurge(), desired, true).valueOr(0);
    rollout.maxUnavailable = api::scaledValue(rolling.maxunavailable(), desired, true).valueOr(1);
    if (rollout.maxSurge == 0) rollout.maxUnavailable = std::max(rollout.maxUnavailable, 1);
  }

  readPods(*sync);
  DaemonChanges changes = manage(*sync);
  Status done = co_await apply(sync->set, std::move(changes), rollout.hash);
  if (done.ok() && isRolling(*sync->set)) {
    readPods(*sync);
    changes = roll(*sync);
    done = co_await apply(sync->set, std::move(changes), rollout.hash);
  }
  readPods(*sync);
  const Status written = co_await writeStatus(sync, collisions);
  if (!done.ok() || !written.ok()) co_return done.ok() ? written : done;

  std::set<std::string> live;
  for (const auto& [node, pods] : sync->pods) {
    for (const auto& pod : pods) {
      const auto& labels = pod->metadata().labels();
      if (const auto hash = labels.find(kRevisionHash); hash != labels.end())
        live.insert(sync->set->metadata().name() + "-" + hash->second);
    }
  }
  co_return co_await trimHistory(context_, std::move(*history), std::move(live),
                                 spec.revisionhistorylimit());
}

Co<Status> DaemonSetController::writeStatus(std::shared_ptr<Sync> sync, std::int32_t collisions) {
  appsv1::DaemonSetStatus status = sync->set->status();
  std::int32_t desired = 0, current = 0, misscheduled = 0, ready = 0, available = 0, updated = 0;
  std::optional<WallTime> next;
  const bool collided = collisions != status.collisioncount();
  for (const auto& node : sync->nodes) {
    const std::string& name = node->metadata().name();
    const auto pods = sync->pods.find(name);
    const bool scheduled = pods != sync->pods.end();
    if (!sync->eligible.at(name).run) {
      misscheduled += scheduled ? 1 : 0;
      continue;
    }
    ++desired;
    if (!scheduled) continue;
    ++current;
    const corev1::Pod& pod = *pods->second.front();
    if (sync->rollout.isUpdated(pod)) ++updated;
    const auto since = availableSince(pod, sync->rollout.minReadySeconds);
    if (!since) continue;
    ++ready;
    if (sync->rollout.isAvailable(pod)) {
      ++available;
    } else {
      next = std::min(next.value_or(*since), *since);
    }
  }
  if (next) {
    reconciler_.addAfter(api::keyOf(*sync->set),
                         std::max(*next - context_.clock.wallNow(), Duration::zero()));
  }
  // A set that has just collided is counted when it has its revision.
  if (collided) {
    status.set_collisioncount(collisions);
  } else {
    status.set_observedgeneration(sync->set->metadata().generation());
    status.set_desirednumberscheduled(desired);
    status.set_currentnumberscheduled(current);
    status.set_numbermisscheduled(misscheduled);
    status.set_numberready(ready);
    status.set_updatednumberscheduled(updated);
    status.set_numberavailable(available);
    status.set_numberunavailable(desired - available);
  }
  co_return co_await controllers::writeStatus(context_, context_.daemonSets, sync->set,
                                              std::move(status));
}

}  // namespace podlab::controllers
