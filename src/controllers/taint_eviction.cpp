#include "controllers/taint_eviction.hpp"

#include <algorithm>
#include <utility>

#include "api/kinds.hpp"
#include "api/taints.hpp"
#include "api/times.hpp"
#include "controllers/pod_disruption.hpp"

namespace podlab::controllers {
namespace {

constexpr std::size_t kWorkers = 16;

bool hasNoExecute(const corev1::Node& node) {
  return std::ranges::any_of(node.spec().taints(), [](const corev1::Taint& taint) {
    return taint.effect() == api::kNoExecute;
  });
}

std::string idOf(const corev1::Taint& taint) {
  return taint.key() + "=" + taint.value();
}

}  // namespace

TaintEvictionController::TaintEvictionController(Context& context)
    : context_(context),
      reconciler_("taint_eviction", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  client::Informer::Handlers nodes;
  nodes.added = [this](const api::ObjectPtr& node) { observeNode(api::as<corev1::Node>(node)); };
  nodes.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& node) {
    observeNode(api::as<corev1::Node>(node));
  };
  nodes.deleted = [this](const api::ObjectPtr& node) { firstSeen_.erase(api::meta(*node).name()); };
  context_.nodes.addHandlers(std::move(nodes));

  const auto observePod = [this](const api::ObjectPtr& object) {
    if (firstSeen_.contains(api::as<corev1::Pod>(object).spec().nodename()))
      reconciler_.add(api::keyOf(*object));
  };
  client::Informer::Handlers pods;
  pods.added = observePod;
  pods.updated = [observePod](const api::ObjectPtr&, const api::ObjectPtr& now) {
    observePod(now);
  };
  context_.pods.addHandlers(std::move(pods));
}

// Nodes may come before their pods and pods before their nodes.
void TaintEvictionController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

void TaintEvictionController::observeNode(const corev1::Node& node) {
  const std::string& name = node.metadata().name();
  if (!hasNoExecute(node)) {
    firstSeen_.erase(name);
    return;
  }
  std::map<std::string, WallTime> seen;
  for (const auto& taint : node.spec().taints()) {
    if (taint.effect() != api::kNoExecute || taint.has_timeadded()) continue;
    seen.emplace(idOf(taint), context_.clock.wallNow());
  }
  auto& before = firstSeen_[name];
  for (auto& [id, time] : seen) {
    if (const auto known = before.find(id); known != before.end()) time = known->second;
  }
  before = std::move(seen);
  for (const auto& key : context_.podsByNode.of(name)) reconciler_.add(key);
}

std::optional<WallTime> TaintEvictionController::deadline(const corev1::Pod& pod,
                                                          const corev1::Node& node) const {
  std::optional<WallTime> earliest;
  for (const auto& taint : node.spec().taints()) {
    if (taint.effect() != api::kNoExecute) continue;
    WallTime since;
    if (taint.has_timeadded()) {
      since = api::toWallTime(taint.timeadded());
    } else {
      since = firstSeen_.at(node.metadata().name()).at(idOf(taint));
    }
    if (!api::tolerates(pod.spec().tolerations(), taint)) return since;
    for (const auto& toleration : pod.spec().tolerations()) {
      if (!toleration.has_tolerationseconds() || !api::tolerates(toleration, taint)) continue;
      const auto seconds = std::max<std::int64_t>(toleration.tolerationseconds(), 0);
      const WallTime end = since + std::chrono::seconds(seconds);
      earliest = earliest ? std::min(*earliest, end) : end;
    }
  }
  return earliest;
}

Co<Status> TaintEvictionController::reconcile(std::string key) {
  const auto object = context_.pods.get(key);
  if (!object || api::meta(*object).has_deletiontimestamp()) co_return Status();
  const auto& pod = api::as<corev1::Pod>(object);
  const auto node = context_.nodes.get(pod.spec().nodename());
  if (!node) co_return Status();
  const auto due = deadline(pod, api::as<corev1::Node>(node));
  if (!due) co_return Status();
  const Duration remaining = *due - context_.clock.wallNow();
  if (remaining > Duration::zero()) {
    reconciler_.addAfter(key, remaining);
    co_return Status();
  }
  context_.events.record(pod, client::EventClass::kNormal, "TaintManagerEviction",
                         "Marking for deletion Pod " + key);
  const Status marked =
      co_await markDisrupted(context_, api::share<corev1::Pod>(object), "DeletionByTaintManager",
                             "Taint manager: deleting due to NoExecute taint", false);
  co_return marked.ok() ? co_await deletePod(context_.api, pod, -1) : marked;
}

}  // namespace podlab::controllers
