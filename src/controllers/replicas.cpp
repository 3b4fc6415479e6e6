#include "controllers/replicas.hpp"

#include <algorithm>
#include <utility>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "api/owners.hpp"
#include "client/modify.hpp"
#include "controllers/pod_ranking.hpp"

namespace podlab::controllers {
namespace {

using google::protobuf::Message;

constexpr std::size_t kWorkers = 16;
constexpr std::size_t kBurst = 500;  ///< pods made or deleted in one go

bool isActivePod(const Message& pod) {
  return isActive(static_cast<const corev1::Pod&>(pod));
}

const std::string& uidOfController(const Message& object) {
  static const std::string kNone;
  const auto* controller = api::controllerOf(api::meta(object));
  return controller == nullptr ? kNone : controller->uid();
}

}  // namespace

ReplicaController::ReplicaController(Context& context, client::EventRecorder& events,
                                     ReplicaKind kind, client::Informer& objects)
    : context_(context),
      events_(events),
      kind_(kind),
      objects_(objects),
      byOwner_(objects, ownerOf),
      reconciler_(std::string(kind.kind->plural), context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }),
      owners_(
          context, objects, kind.kind->kind,
          [specOf = kind.specOf](const Message& object) { return specOf(object).selector; },
          [this](std::string key) { reconciler_.add(std::move(key)); }) {}

void ReplicaController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

Co<Status> ReplicaController::reconcile(std::string key) {
  const auto object = objects_.get(key);
  if (!object) co_return Status();
  const ReplicaSpec spec = kind_.specOf(*object);
  Status managed;
  ReplicaStatus status;
  if (!isSettled(*object, spec)) {
    const OwnedObjects owned{context_.pods, context_.podsByOwner};
    auto pods = co_await claim(context_, owned, object, spec.selector, isActivePod);
    if (!pods) co_return pods.status();
    const std::size_t present = pods->size();
    managed = co_await manage(object, spec.replicas, std::move(*pods));
    if (!managed.ok()) {
      status.failure = present < spec.replicas ? "FailedCreate" : "FailedDelete";
      status.message = managed.message();
    }
  }
  count(key, spec, api::meta(*object).uid(), status);
  const Status written = co_await writeStatus(object, std::move(status));
  co_return managed.ok() ? written : managed;
}

bool ReplicaController::isSettled(const Message& object, const ReplicaSpec& spec) const {
  const auto& metadata = api::meta(object);
  if (metadata.has_deletiontimestamp()) return true;
  const auto matches = [&](const auto& pod) {
    return pod.second.active && spec.selector.matches(*pod.second.labels);
  };
  const auto& pods = context_.podFacts.of(metadata.uid());
  const auto mine = std::ranges::count_if(pods, matches);
  const auto active =
      std::ranges::count_if(pods, [](const auto& pod) { return pod.second.active; });
  return mine == active && std::cmp_equal(mine, spec.replicas) &&
         std::ranges::none_of(context_.podFacts.of(orphansOf(metadata.namespace_())), matches);
}

Co<Status> ReplicaController::manage(api::ObjectPtr object, std::size_t wanted,
                                     std::vector<api::ObjectPtr> pods) {
  if (pods.size() < wanted) {
    const auto pod = std::make_shared<corev1::Pod>(podOf(*kind_.specOf(*object).pod, *object));
    std::vector<std::shared_ptr<const corev1::Pod>> missing(std::min(wanted - pods.size(), kBurst),
                                                            pod);
    co_return co_await createPods(context_, events_, object, std::move(missing));
  }
  if (pods.size() == wanted) co_return Status();
  const std::size_t excess = std::min(pods.size() - wanted, kBurst);
  auto chosen =
      podsToDelete(std::move(pods), relativesByNode(object), excess, context_.clock.wallNow());
  co_return co_await deletePods(context_, events_, object, std::move(chosen));
}

std::map<std::string, int> ReplicaController::relativesByNode(const api::ObjectPtr& object) const {
  std::set<std::string> keys{api::keyOf(*object)};
  if (const std::string& owner = uidOfController(*object); !owner.empty())
    for (const auto& key : byOwner_.of(owner)) keys.insert(key);
  std::map<std::string, int> counts;
  for (const auto& key : keys) {
    const auto relative = objects_.get(key);
    if (!relative) continue;
    for (const auto& podKey : context_.podsByOwner.of(api::meta(*relative).uid())) {
      const auto pod = context_.pods.get(podKey);
      if (isActivePod(*pod)) ++counts[api::as<corev1::Pod>(pod).spec().nodename()];
    }
  }
  return counts;
}

void ReplicaController::count(const std::string& key, const ReplicaSpec& spec,
                              const std::string& uid, ReplicaStatus& status) {
  const WallTime now = context_.clock.wallNow();
  const auto& labels = spec.pod->metadata().labels();
  std::optional<WallTime> next;
  for (const auto& [name, pod] : context_.podFacts.of(uid)) {
    if (!pod.active || !spec.selector.matches(*pod.labels)) continue;
    const bool full = std::ranges::all_of(labels, [&](const auto& label) {
      const auto found = pod.labels->find(label.first);
      return found != pod.labels->end() && found->second == label.second;
    });
    ++status.replicas;
    if (full) ++status.fullyLabeled;
    if (!pod.readySince) continue;
    ++status.ready;
    const WallTime since = *pod.readySince + std::chrono::seconds(spec.minReadySeconds);
    if (spec.minReadySeconds == 0 || since <= now) {
      ++status.available;
    } else {
      next = next ? std::min(*next, since) : since;
    }
  }
  if (next) reconciler_.addAfter(key, *next - now);
}

Co<Status> ReplicaController::writeStatus(api::ObjectPtr object, ReplicaStatus status) {
  const auto& metadata = api::meta(*object);
  const client::Change change = [&](Message& now) {
    return api::meta(now).uid() == metadata.uid() &&
           kind_.setStatus(now, status, metadata.generation(), context_.clock.wallNow());
  };
  api::ResourceId id{kind_.kind, metadata.namespace_(), metadata.name(), "status"};
  auto written = co_await client::modify(context_.api, std::move(id), object, change);
  co_return unlessGone(written.status());
}

}  // namespace podlab::controllers
