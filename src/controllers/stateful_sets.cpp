#include "controllers/stateful_sets.hpp"

#include <set>
#include <utility>

#include "controllers/controller_history.hpp"
#include "controllers/owned_pods.hpp"
#include "controllers/stateful_sync.hpp"
#include "controllers/status_write.hpp"

namespace podlab::controllers {
namespace {

using appsv1::StatefulSet;

constexpr std::size_t kWorkers = 8;

}  // namespace

StatefulSetController::StatefulSetController(Context& context, client::EventRecorder& events)
    : context_(context),
      events_(events),
      reconciler_("statefulsets", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }),
      owners_(
          context, context.statefulSets, "StatefulSet",
          [](const google::protobuf::Message& set) {
            return selectorOrNone(static_cast<const StatefulSet&>(set).spec().selector());
          },
          [this](std::string key) { reconciler_.add(std::move(key)); }) {}

void StatefulSetController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

Co<Status> StatefulSetController::reconcile(std::string key) {
  const auto object = context_.statefulSets.get(key);
  if (!object) co_return Status();
  const auto set = api::share<StatefulSet>(object);
  auto selector = api::LabelSelector::of(set->spec().selector());
  if (!selector) co_return selector.status();
  auto history = co_await syncHistory(context_, object, *selector, set->spec().template_(),
                                      set->status().collisioncount());
  if (!history) co_return history.status();
  if (history->collided) {
    appsv1::StatefulSetStatus status = set->status();
    status.set_collisioncount(status.collisioncount() + 1);
    co_return co_await writeStatus(context_, context_.statefulSets, set, std::move(status));
  }
  OwnedObjects owned{context_.pods, context_.podsByOwner};
  auto pods = co_await claim(
      context_, owned, object, std::move(*selector),
      [&set](const google::protobuf::Message& pod) { return ordinalOf(*set, pod).has_value(); });
  if (!pods) co_return pods.status();

  std::set<std::string> live{set->status().currentrevision(), set->status().updaterevision()};
  for (const auto& pod : *pods) live.insert(revisionOf(api::as<corev1::Pod>(pod)));
  StatefulSync sync(context_, events_, set, *history, *pods);
  const Status status = co_await sync.run();
  if (const auto delay = sync.again()) reconciler_.addAfter(std::move(key), *delay);
  if (!status.ok() || set->metadata().has_deletiontimestamp()) co_return status;
  co_return co_await trimHistory(context_, std::move(*history), std::move(live),
                                 set->spec().revisionhistorylimit());
}

}  // namespace podlab::controllers
