#pragma once
#include <string>

#include "controllers/context.hpp"
#include "controllers/pod_owners.hpp"
#include "controllers/reconciler.hpp"
#include "controllers/stateful_pods.hpp"

namespace podlab::controllers {

/// Keeps the pods of StatefulSets, each with a name, a place in the order and claims of its own
/// (StatefulSync; upstream: pkg/controller/statefulset).
class StatefulSetController {
 public:
  StatefulSetController(Context& context, client::EventRecorder& events);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  Co<Status> reconcile(std::string key);

  Context& context_;
  client::EventRecorder& events_;
  Reconciler reconciler_;
  PodOwners owners_;
};

}  // namespace podlab::controllers
