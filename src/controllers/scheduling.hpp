#pragma once
#include <memory>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "api/persistent_volumes.hpp"
#include "client/event_recorder.hpp"
#include "client/informer.hpp"
#include "common/clock.hpp"
#include "common/sync.hpp"
#include "controllers/context.hpp"
#include "scheduler/scheduler.hpp"

namespace podlab::controllers {

/// Feeds the scheduler from the caches and carries its decisions out: a Binding for each pod that
/// has a place, many in flight; an event and the condition PodScheduled=False for each that has
/// none.
class SchedulingController {
 public:
  /// The context's informers are not started yet; all references outlive stop().
  SchedulingController(Context& context, client::EventRecorder& events);

  void start();
  Co<void> stop();

 private:
  void observe(const api::ObjectPtr& pod);
  /// The pods that use the claim are looked at anew.
  void claimChanged(const std::string& claim);
  scheduler::VolumeNeeds needsOf(const corev1::Pod& pod) const;
  Co<void> run();
  /// The pods whose claims wait for a node are looked at anew.
  void placesChanged();
  scheduler::UnboundClaim placesOf(const corev1::PersistentVolumeClaim& claim,
                                   const storagev1::StorageClass& storageClass) const;
  Co<void> bind(scheduler::Scheduler::Decision decision);
  /// Has the claims that wait for the pod's node bound there.
  Co<Status> bindClaims(scheduler::PodPtr pod, std::string node);
  Co<void> reportUnschedulable(scheduler::Scheduler::Decision decision);

  Context& context_;
  api::Api& api_;
  Clock& clock_;
  client::EventRecorder& events_;
  scheduler::Scheduler scheduler_;
  WaitQueue changed_;
  WaitQueue claimsChanged_;
  TaskGroup tasks_;
};

}  // namespace podlab::controllers
