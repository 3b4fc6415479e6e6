#pragma once
#include <string>

#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Carries a Deployment's template over to ReplicaSets, one for each revision (upstream:
/// pkg/controller/deployment). One step a time: what follows from it brings the next.
class DeploymentController {
 public:
  DeploymentController(Context& context, client::EventRecorder& events);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  Co<Status> reconcile(std::string key);
  /// A ReplicaSet, which may have lost or changed its controller or labels.
  void observe(const api::ObjectPtr& before, const api::ObjectPtr& now);
  void addController(const google::protobuf::Message& set);
  void addSelecting(const google::protobuf::Message& set);
  /// A pod that has gone: Recreate waits for the last.
  void observeEnd(const google::protobuf::Message& pod);

  Context& context_;
  client::EventRecorder& events_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
