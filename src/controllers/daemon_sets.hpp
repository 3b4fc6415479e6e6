#pragma once
#include <map>
#include <string>

#include "controllers/context.hpp"
#include "controllers/controller_history.hpp"
#include "controllers/daemon_pods.hpp"
#include "controllers/pod_owners.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Keeps a pod of each DaemonSet on each node that is eligible for it, and replaces the pods of an
/// older template as the update strategy says (upstream: pkg/controller/daemon).
class DaemonSetController {
 public:
  DaemonSetController(Context& context, client::EventRecorder& events);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  /// A failed pod is replaced at once, the next ones on its node ever later.
  struct BackOff {
    Duration delay{};
    MonoTime since{};
  };
  struct Sync;

  Co<Status> reconcile(std::string key);
  Co<Status> apply(DaemonSetPtr set, DaemonChanges changes, std::string hash);
  Co<Status> writeStatus(std::shared_ptr<Sync> sync, std::int32_t collisions);
  void readPods(Sync& sync) const;
  DaemonChanges manage(Sync& sync);
  void findEnded(Sync& sync, const std::string& node, const PodPtr& pod, DaemonChanges& changes);
  DaemonChanges roll(const Sync& sync) const;
  void observeNode(const corev1::Node* before, const corev1::Node& now);

  Context& context_;
  client::EventRecorder& events_;
  std::map<std::string, BackOff> backOffs_;  ///< by set and node
  Reconciler reconciler_;
  PodOwners owners_;
};

}  // namespace podlab::controllers
