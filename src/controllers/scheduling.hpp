#pragma once
#include <memory>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "client/event_recorder.hpp"
#include "client/informer.hpp"
#include "common/clock.hpp"
#include "common/sync.hpp"
#include "scheduler/scheduler.hpp"

namespace podlab::controllers {

/// Feeds the scheduler from the caches and carries its decisions out: a Binding for each pod that
/// has a place, many in flight; an event and the condition PodScheduled=False for each that has
/// none.
class SchedulingController {
 public:
  /// The informers, of all pods and all nodes, are not started yet; all references outlive stop().
  SchedulingController(api::Api& api, Clock& clock, asio::any_io_executor executor,
                       client::Informer& pods, client::Informer& nodes,
                       client::EventRecorder& events);

  void start();
  Co<void> stop();

 private:
  Co<void> run();
  Co<void> bind(scheduler::Scheduler::Decision decision);
  Co<void> reportUnschedulable(scheduler::Scheduler::Decision decision);

  api::Api& api_;
  Clock& clock_;
  client::Informer& pods_;
  client::Informer& nodes_;
  client::EventRecorder& events_;
  scheduler::Scheduler scheduler_;
  WaitQueue changed_;
  TaskGroup tasks_;
};

}  // namespace podlab::controllers
