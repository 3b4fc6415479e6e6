#pragma once
#include <string>

#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Gives each ClusterRole with an aggregationRule the rules of those that it selects
/// (pkg/controller/clusterroleaggregation).
class ClusterRoleAggregation {
 public:
  /// `roles`: of all ClusterRoles.
  ClusterRoleAggregation(Context& context, client::Informer& roles);
  void start() { reconciler_.start(roles_.waitForSync()); }
  Co<void> stop() { return reconciler_.stop(); }

 private:
  Co<Status> reconcile(std::string name);

  Context& context_;
  client::Informer& roles_;
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
