// The part of SchedulingController that makes room for urgent pods.
#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "client/modify.hpp"
#include "common/log.hpp"
#include "controllers/pod_disruption.hpp"
#include "controllers/scheduling.hpp"

namespace podlab::controllers {

using Decision = scheduler::Scheduler::Decision;

Co<void> SchedulingController::evict(Decision decision) {
  bool allGo = true;
  for (const auto& victim : decision.victims)
    allGo = co_await evictOne(decision.pod, *decision.nominated, victim) && allGo;
  if (allGo) co_return;
  scheduler_.preemptionFailed(api::keyOf(*decision.pod), clock_.now());
  changed_.notifyAll();
  co_await clearNomination(api::keyOf(*decision.pod));
}

Co<bool> SchedulingController::evictOne(scheduler::PodPtr preemptor, std::string node,
                                        std::string key) {
  const auto object = context_.pods.get(key);
  if (!object) co_return true;
  const auto pod = api::share<corev1::Pod>(object);
  // One that is assumed to go there, and is not bound yet, has to go as well.
  const bool isThere = pod->spec().nodename().empty() || pod->spec().nodename() == node;
  if (!isThere || pod->metadata().has_deletiontimestamp()) co_return true;
  std::string why =
      preemptor->spec().schedulername() + ": preempting to accommodate a higher priority pod";
  Status done =
      co_await markDisrupted(context_, pod, "PreemptionByScheduler", std::move(why), false);
  if (done.ok()) done = co_await deletePod(api_, *pod, -1);
  if (!done.ok()) {
    logWarning("preemption_failed", {{"pod", key}, {"error", done}});
    co_return false;
  }
  events_.record(*pod, client::EventClass::kNormal, "Preempted",
                 "Preempted by pod " + preemptor->metadata().uid() + " on node " + node);
  co_return true;
}

Co<void> SchedulingController::clearNomination(std::string key) {
  const auto object = context_.pods.get(key);
  if (!object) co_return;
  const std::string uid = api::meta(*object).uid();
  const client::Change change = [&uid](google::protobuf::Message& changed) {
    auto& pod = static_cast<corev1::Pod&>(changed);
    if (pod.metadata().uid() != uid || pod.status().nominatednodename().empty()) return false;
    pod.mutable_status()->clear_nominatednodename();
    return true;
  };
  const auto& meta = api::meta(*object);
  api::ResourceId id{&api::kindFor<corev1::Pod>(), meta.namespace_(), meta.name(), "status"};
  const auto written = co_await client::modify(api_, std::move(id), nullptr, change);
  if (!written.ok() && !written.status().is(Code::kNotFound))
    logWarning("pod_status_not_written", {{"pod", key}, {"error", written.status()}});
}

}  // namespace podlab::controllers
