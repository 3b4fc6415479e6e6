#pragma once
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "api/persistent_volumes.hpp"
#include "client/event_recorder.hpp"
#include "client/informer.hpp"
#include "common/clock.hpp"
#include "common/indexed_map.hpp"
#include "common/sync.hpp"
#include "controllers/context.hpp"
#include "scheduler/scheduler.hpp"

namespace podlab::controllers {

/// Feeds the scheduler from the caches and carries its decisions out: a Binding for each pod that
/// has a place, many in flight; an event and the condition PodScheduled=False for each that has
/// none, and the ends of those that have to make room for it.
class SchedulingController {
 public:
  /// The context's informers are not started yet; all references outlive stop().
  SchedulingController(Context& context, client::EventRecorder& events,
                       std::vector<scheduler::Profile> profiles = {scheduler::Profile{}});

  void start();
  Co<void> stop();

 private:
  void watchPods();
  void watchCluster();
  void watchVolumes();
  void observe(const api::ObjectPtr& pod);
  /// The pods of the namespace that wait are looked at anew.
  void servicesChanged(const std::string& ns);
  std::optional<api::LabelSelector> selectorOf(const corev1::Pod& pod) const;
  /// The pods that use the claim are looked at anew.
  void claimChanged(const std::string& claim);
  scheduler::VolumeNeeds needsOf(const corev1::Pod& pod) const;
  Co<void> run();
  /// The pods whose claims wait for a node are looked at anew.
  void placesChanged();
  Co<void> bind(scheduler::Scheduler::Decision decision);
  /// Has the claims that wait for the pod's node bound there.
  Co<Status> bindClaims(scheduler::PodPtr pod, std::string node);
  Co<void> reportUnschedulable(scheduler::Scheduler::Decision decision);
  /// Ends the victims of a decision.
  Co<void> evict(scheduler::Scheduler::Decision decision);
  /// Whether the victim is gone, or about to go.
  Co<bool> evictOne(scheduler::PodPtr preemptor, std::string node, std::string key);
  Co<void> clearNomination(std::string key);

  Context& context_;
  api::Api& api_;
  Clock& clock_;
  client::EventRecorder& events_;
  client::Informer& budgets_;
  scheduler::Scheduler scheduler_;
  bool budgetsChanged_ = true;
  IndexedMap<std::monostate> waiting_;  ///< keys of pods without a node
  WaitQueue changed_;
  WaitQueue claimsChanged_;
  TaskGroup tasks_;
};

}  // namespace podlab::controllers
