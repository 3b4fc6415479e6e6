#pragma once
#include <deque>
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
/// PodWorker. Where pods are parked, one that has nothing to do has no worker until something comes
/// for it.
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

  /// Until no pod waits for its turn.
  Co<void> untilTurnsTaken();
  /// The statuses of all pods, as they are now, go to the server.
  void report();

  /// Sandboxes can be made from now on.
  void networkIsUp();
  /// Stops the workers; the pods go on.
  Co<void> stop();

  /// By namespace and name; the one that the server has, when there are two. nullptr when there is
  /// none.
  const PodWorker* find(std::string_view ns, std::string_view name);
  std::size_t size() const { return pods_.size(); }
  /// How many have no worker.
  std::size_t parked() const;

  const PodWorker* findByUid(const std::string& uid) { return workerOf(uid); }
  /// Until this instance of a container runs no more.
  Co<void> waitUntilEnded(std::string containerId);
  /// Until the pod's network is gone.
  Co<void> waitUntilDown(std::string uid);

 private:
  struct Entry {
    std::unique_ptr<PodWorker> worker;
    api::PackedPtr parked;          ///< what the last worker knew; only while there is none
    api::PackedPtr news;            ///< a newer object of the server's, for the next worker
    std::uint64_t savedRecord = 0;  ///< the last worker's
    bool tornDown = false;          ///< it left nothing but records and logs
  };

  /// Pods that could not be set up try again now.
  void retrySetUp();
  PodWorker* start(const api::ObjectPtr& object, const PodRemains& remains);
  /// Gives their turn to the pods that have news and no worker.
  Co<void> takeTurns();
  Co<void> runWorker(std::string uid);
  /// The pod's worker, made when there is none; nullptr when there is no such pod.
  PodWorker* workerOf(const std::string& uid);
  /// Of the pod that has this instance of a container, or nullptr.
  PodWorker* workerOfContainer(const std::string& containerId);
  Co<Status> removeRemains(std::string uid, std::shared_ptr<const PodRemains> remains);

  PodServices services_;
  std::map<std::string, Entry> pods_;
  std::map<std::string, PodRemains> remains_;  ///< not yet claimed by a worker
  std::set<std::string> gone_;                 ///< finished here, but still at the server
  std::deque<std::string> waiting_;            ///< for their turn to end, by uid
  WaitQueue turnsTaken_;
  WaitQueue instanceEnded_;
  TaskGroup tasks_;
};

}  // namespace podlab::node
