#include "controllers/scheduling.hpp"

#include "api/conditions.hpp"
#include "client/modify.hpp"
#include "common/log.hpp"

namespace podlab::controllers {

using Decision = scheduler::Scheduler::Decision;

SchedulingController::SchedulingController(api::Api& api, Clock& clock,
                                           asio::any_io_executor executor, client::Informer& pods,
                                           client::Informer& nodes, client::EventRecorder& events)
    : api_(api),
      clock_(clock),
      pods_(pods),
      nodes_(nodes),
      events_(events),
      tasks_(std::move(executor)) {
  client::Informer::Handlers podHandlers;
  podHandlers.added = [this](const api::ObjectPtr& pod) {
    scheduler_.setPod(api::share<corev1::Pod>(pod), clock_.now());
    changed_.notifyAll();
  };
  podHandlers.updated = [added = podHandlers.added](const api::ObjectPtr&,
                                                    const api::ObjectPtr& pod) { added(pod); };
  podHandlers.deleted = [this](const api::ObjectPtr& pod) {
    scheduler_.removePod(api::keyOf(*pod), clock_.now());
    changed_.notifyAll();
  };
  pods_.addHandlers(std::move(podHandlers));

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
  nodes_.addHandlers(std::move(nodeHandlers));
}

void SchedulingController::start() {
  tasks_.spawn("scheduling", run());
}

Co<void> SchedulingController::stop() {
  co_await tasks_.cancelAndJoin();
}

Co<void> SchedulingController::run() {
  // Without all pods the nodes would look emptier than they are.
  co_await nodes_.waitForSync();
  co_await pods_.waitForSync();
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
