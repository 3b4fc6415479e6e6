#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/sync.hpp"
#include "node/pod_services.hpp"
#include "node/pod_worker.hpp"

namespace podlab::node {

/// All pods of a node, by uid: brings each desired pod and each remains of one together in a
/// PodWorker.
class PodManager {
 public:
  explicit PodManager(PodServices services);
  ~PodManager();

  /// Finds again what an earlier agent left, and starts workers for the pods that it recorded.
  /// Before any other call.
  Co<Status> recover();

  /// The server's pods that are bound to this node, as they come.
  void upsert(const api::ObjectPtr& pod);
  void removed(const api::ObjectPtr& last);
  /// After the first list: pods that the server does not know are stopped, and what belongs to no
  /// pod is removed.
  Co<void> reconcile(std::vector<api::ObjectPtr> present);

  /// Sandboxes can be made from now on.
  void networkIsUp();
  /// Stops the workers; the pods go on.
  Co<void> stop();

  /// By namespace and name; the one that the server has, when there are two. nullptr when there is
  /// none.
  const PodWorker* find(std::string_view ns, std::string_view name) const;
  std::size_t size() const { return workers_.size(); }

  const PodWorker* findByUid(const std::string& uid) const;
  /// Until this instance of a container runs no more.
  Co<void> waitUntilEnded(std::string containerId) const;
  /// Until the pod's network is gone.
  Co<void> waitUntilDown(std::string uid) const;

 private:
  /// Pods that could not be set up try again now.
  void retrySetUp();
  void start(std::shared_ptr<const corev1::Pod> pod);
  Co<void> runWorker(std::string uid);
  /// Of the pod that has this instance of a container, or nullptr.
  PodWorker* workerOf(const std::string& containerId) const;
  Co<Status> removeRemains(std::string uid, std::shared_ptr<const PodRemains> remains);

  PodServices services_;
  std::map<std::string, std::unique_ptr<PodWorker>> workers_;
  std::map<std::string, PodRemains> remains_;  ///< not yet claimed by a worker
  std::set<std::string> gone_;                 ///< finished here, but still at the server
  mutable WaitQueue instanceEnded_;
  TaskGroup tasks_;
};

}  // namespace podlab::node
