#pragma once
#include <optional>
#include <string>
#include <unordered_map>

#include "api/taints.hpp"
#include "controllers/context.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Judges nodes by the renewals of their Leases, and by their own status reports: one that gives no
/// sign of life for `grace` becomes Unknown. Keeps the taints that follow from a node's conditions
/// (not-ready, unreachable, unschedulable), and says of the pods of an unreachable node that they
/// are not ready.
class NodeLifecycleController {
 public:
  NodeLifecycleController(Context& context, Duration grace = std::chrono::seconds(40));
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  Co<Status> reconcile(std::string name);
  void observeLife(const std::string& name);
  void observeStatus(const corev1::Node& before, const corev1::Node& now);
  Co<Status> markUnknown(const corev1::Node& node);
  Co<Status> markPodsNotReady(std::string name);
  /// The node's taints as its conditions want them; none when they are so.
  std::optional<api::Taints> adjustedTaints(const corev1::Node& node) const;

  Context& context_;
  const Duration grace_;
  struct Life {
    /// When the node last gave a sign of life, by this process's clock: the clocks of nodes do not
    /// matter, and a new server grants everybody a whole grace period.
    MonoTime seen;
    bool unknown = false;  ///< its condition Ready says so
  };
  std::unordered_map<std::string, Life> lives_;  ///< of each node
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
