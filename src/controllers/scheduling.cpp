#include "controllers/scheduling.hpp"

#include "api/conditions.hpp"
#include "api/persistent_volumes.hpp"
#include "client/modify.hpp"
#include "common/log.hpp"

namespace podlab::controllers {

using Decision = scheduler::Scheduler::Decision;

SchedulingController::SchedulingController(Context& context, client::EventRecorder& events)
    : context_(context),
      api_(context.api),
      clock_(context.clock),
      events_(events),
      tasks_(context.executor) {
  client::Informer::Handlers podHandlers;
  podHandlers.added = [this](const api::ObjectPtr& pod) { observe(pod); };
  podHandlers.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& pod) { observe(pod); };
  podHandlers.deleted = [this](const api::ObjectPtr& pod) {
    scheduler_.removePod(api::keyOf(*pod), clock_.now());
    changed_.notifyAll();
  };
  context_.pods.addHandlers(std::move(podHandlers));

  client::Informer::Handlers nodeHandlers;
  nodeHandlers.added = [this](const api::ObjectPtr& node) {
    scheduler_.setNode(api::share<corev1::Node>(node), clock_.now());
    changed_.notifyAll();
  };
  nodeHandlers.updated = [added = nodeHandlers.added](const api::ObjectPtr&,
                                                      const api::ObjectPtr& node) { added(node); };
  nodeHandlers.deleted = [this](const api::ObjectPtr& node) {
    scheduler_.removeNode(api::meta(*node).name());
  };
  context_.nodes.addHandlers(std::move(nodeHandlers));

  client::Informer::Handlers claims;
  claims.added = [this](const api::ObjectPtr& claim) { claimChanged(api::keyOf(*claim)); };
  claims.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& claim) {
    claimChanged(api::keyOf(*claim));
  };
  claims.deleted = claims.added;
  context_.claims.addHandlers(std::move(claims));

  client::Informer::Handlers volumes;
  volumes.added = [this](const api::ObjectPtr& volume) {
    const auto& claim = api::as<corev1::PersistentVolume>(volume).spec().claimref();
    claimChanged(claim.namespace_() + "/" + claim.name());
  };
  context_.volumes.addHandlers(std::move(volumes));
}

void SchedulingController::observe(const api::ObjectPtr& object) {
  auto pod = api::share<corev1::Pod>(object);
  auto needs = needsOf(*pod);
  scheduler_.setPod(std::move(pod), clock_.now(), std::move(needs));
  changed_.notifyAll();
}

void SchedulingController::claimChanged(const std::string& claim) {
  for (const auto& key : context_.podsByClaim.of(claim)) {
    if (const auto pod = context_.pods.get(key)) observe(pod);
  }
}

scheduler::VolumeNeeds SchedulingController::needsOf(const corev1::Pod& pod) const {
  scheduler::VolumeNeeds needs;
  // A pod that is bound has found its place.
  if (!pod.spec().nodename().empty()) return needs;
  for (const auto& name : api::claimsOf(pod)) {
    const auto object = context_.claims.get(pod.metadata().namespace_() + "/" + name);
    if (!object) {
      needs.blocked = "persistentvolumeclaim \"" + name + "\" not found";
      return needs;
    }
    const auto& claim = api::as<corev1::PersistentVolumeClaim>(object);
    if (claim.metadata().has_deletiontimestamp()) {
      needs.blocked = "persistentvolumeclaim \"" + name + "\" is being deleted";
      return needs;
    }
    const auto volume = context_.volumes.get(claim.spec().volumename());
    if (claim.status().phase() != "Bound" || !volume) {
      needs.blocked = "pod has unbound immediate PersistentVolumeClaims";
      return needs;
    }
    const auto& spec = api::as<corev1::PersistentVolume>(volume).spec();
    if (spec.has_nodeaffinity()) needs.affinities.push_back(spec.nodeaffinity().required());
  }
  return needs;
}

void SchedulingController::start() {
  tasks_.spawn("scheduling", run());
}

Co<void> SchedulingController::stop() {
  co_await tasks_.cancelAndJoin();
}

Co<void> SchedulingController::run() {
  // Without all pods the nodes would look emptier than they are.
  co_await context_.waitForSync();
  for (;;) {
    while (auto decision = scheduler_.decideNext(clock_.now())) {
      if (decision->choice.node.empty()) {
        tasks_.spawn("report unschedulable", reportUnschedulable(std::move(*decision)));
      } else {
        tasks_.spawn("bind", bind(std::move(*decision)));
      }
    }
    if (const auto due = scheduler_.nextDue()) {
      co_await changed_.waitUntil(clock_, *due);
    } else {
      co_await changed_.wait();
    }
  }
}

Co<void> SchedulingController::bind(Decision decision) {
  const auto& meta = decision.pod->metadata();
  auto binding = std::make_shared<corev1::Binding>();
  binding->mutable_metadata()->set_name(meta.name());
  binding->mutable_metadata()->set_namespace_(meta.namespace_());
  binding->mutable_metadata()->set_uid(meta.uid());
  binding->mutable_target()->set_apiversion("v1");
  binding->mutable_target()->set_kind("Node");
  binding->mutable_target()->set_name(decision.choice.node);
  api::ResourceId id{&api::kindFor<corev1::Pod>(), meta.namespace_(), meta.name(), "binding"};
  api::WriteOptions options;
  auto result = co_await api_.create(std::move(id), std::move(binding), std::move(options));
  if (result) {
    events_.record(
        *decision.pod, client::EventClass::kNormal, "Scheduled",
        "Successfully assigned " + api::keyOf(*decision.pod) + " to " + decision.choice.node);
    co_return;
  }
  // A pod that was deleted or bound meanwhile comes, or goes, by the cache.
  if (!result.status().is(Code::kNotFound) && !result.status().is(Code::kConflict)) {
    logWarning("bind_failed", {{"pod", api::keyOf(*decision.pod)}, {"error", result.status()}});
  }
  scheduler_.bindFailed(api::keyOf(*decision.pod), clock_.now());
  changed_.notifyAll();
}

Co<void> SchedulingController::reportUnschedulable(Decision decision) {
  const std::string message = decision.choice.diagnosis.toString();
  events_.record(*decision.pod, client::EventClass::kWarning, "FailedScheduling", message);
  const auto& meta = decision.pod->metadata();
  const api::ConditionState condition{"PodScheduled", "False", "Unschedulable", message};
  client::Change change = [&](google::protobuf::Message& object) {
    auto& pod = static_cast<corev1::Pod&>(object);
    // Replaced or bound meanwhile.
    if (pod.metadata().uid() != meta.uid() || !pod.spec().nodename().empty()) return false;
    return api::setCondition(*pod.mutable_status(), condition, clock_.wallNow());
  };
  api::ResourceId id{&api::kindFor<corev1::Pod>(), meta.namespace_(), meta.name(), "status"};
  auto result = co_await client::modify(api_, std::move(id), decision.pod, change);
  if (!result && !result.status().is(Code::kNotFound)) {
    logWarning("pod_status_not_written",
               {{"pod", api::keyOf(*decision.pod)}, {"error", result.status()}});
  }
}

}  // namespace podlab::controllers
