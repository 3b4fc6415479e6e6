#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/dormant.hpp"
#include "api/object.hpp"
#include "api/pod_references.hpp"
#include "common/sync.hpp"
#include "node/pod_services.hpp"
#include "node/pod_status.hpp"
#include "node/pod_tokens.hpp"
#include "node/probe_worker.hpp"
#include "node/restart_backoff.hpp"

namespace podlab::node {

/// What an earlier agent left of a pod.
struct PodRemains {
  records::PodRecord record;                ///< without `pod` the server's last status is taken
  std::vector<ContainerStatus> containers;  ///< all instances that the runtime knows
  bool sandbox = false;
  std::uint64_t savedRecord = 0;  ///< the hash of the record that was written last; 0: unknown
  bool accepted = false;          ///< the node is known to run such a pod
};

/// One pod on this node: a level-triggered state machine. Each event (a newer object, an exit, a
/// timer, the end of an operation) runs sync(), which starts what should be happening and is not;
/// nothing is polled, and nothing waits for the server except the very end. Operations run as
/// tasks, at most one start for each container at a time.
class PodWorker {
 public:
  PodWorker(PodServices& services, const std::shared_ptr<const corev1::Pod>& pod,
            const PodRemains& remains);
  ~PodWorker();

  /// Until nothing of the pod is left on this node, and the server knows; or, where pods are
  /// parked, until there is nothing to do for it and parked() says all that is known of it.
  Co<void> run();
  /// Stops the worker, not the pod.
  Co<void> stop();

  /// A newer object from the server.
  void update(std::shared_ptr<const corev1::Pod> pod);
  /// The server has no such pod any more; `last` is its last state.
  void removedAtServer(std::shared_ptr<const corev1::Pod> last);
  /// A container may have changed.
  void containerChanged(const std::string& id);
  /// Its status, as it is now, goes to the server without waiting for what is about to change.
  void report() { publish(); }
  /// An address came free, or the node's network came up: worth trying at once.
  void retrySetUp();

  const corev1::Pod& pod() const { return *pod_; }
  bool finished() const { return finished_; }
  /// The pod at rest, from which remainsOf() makes a worker go on where this one has come.
  api::PackedPtr parked() { return pod_.share(); }
  /// PodRemains::savedRecord of a worker that goes on.
  std::uint64_t savedRecord() const { return savedRecord_; }
  static PodRemains remainsOf(const corev1::Pod& parked);
  bool isRemovedAtServer() const { return removedAtServer_; }
  /// The pod has ended: nothing but its record and its logs is left of it here.
  bool isTornDown() const { return tornDown_; }
  /// As last computed here.
  const corev1::PodStatus& status() const { return *status_; }
  const SandboxNamespaces& namespaces() const { return namespaces_; }
  /// Whether its network can be used: from the sandbox's making to its removal.
  bool hasNetwork() const { return sandbox_ == Step::kDone && !tearingDown_; }
  /// Whether its volumes may be in use: from their making to their removal.
  bool hasVolumes() const;
  const std::vector<std::string>& podIps() const { return podIps_; }
  /// Where streams find a container: nullopt when the pod has none of this name.
  struct ContainerAccess {
    std::string id;    ///< of the current or last instance
    int attempt = -1;  ///< its number; -1: none was started
    bool running = false;
  };
  std::optional<ContainerAccess> access(std::string_view container) const;
  /// Whether this instance of a container runs.
  bool isRunning(const std::string& containerId) const;

 private:
  struct Container;
  enum class Step { kTodo, kBusy, kDone };

  // What an earlier agent left (pod_restore.cpp).
  void addContainer(std::unique_ptr<Container> container);
  void addContainers();
  void addEphemeralContainers();
  /// The status is the server's from now on, with what is the node's of `ours`.
  void takeOver(const corev1::PodStatus& theirs, const corev1::PodStatus& ours);
  void restore(const PodRemains& remains);
  static records::ContainerRecord recordOf(const corev1::ContainerStatus& status);
  void restoreContainer(Container& container, const records::ContainerRecord& record,
                        const std::vector<ContainerStatus>& found);

  bool isAtServer(const api::PackedPtr& pod);
  void checkpoint();
  bool isSettled() const;
  static bool isSettled(const Container& container);

  // The state machine.
  void forgetImages(const corev1::Pod& next);
  void markOutdated();
  void judgeSpec();
  void proceed();
  void sync();
  void checkAdmission();
  void checkDeadline();
  bool isOver();
  bool isBusy() const;
  bool isStatusDue();
  void publish();
  void wake();
  void wakeAt(MonoTime at);
  void spawn(std::string_view what, Co<void> task);
  Co<void> operate(Co<void> task);
  void rest();

  // Probes and hooks (pod_probes.cpp).
  static void addProbes(Container& container);
  void beginProbes(Container& container);
  void syncProbes(Container& container);
  Co<void> runProbe(Container& container, std::size_t index, std::string id);
  void judge(Container& container, const ProbeWorker& probe);
  ProbeTarget probeTarget(const Container& container) const;
  std::function<void(std::string)> hookFallback();
  Co<void> runPostStart(Container& container, std::string id);
  Co<void> runPreStop(Container& container, std::string id);
  Co<void> untilHookMustEnd(Container& container, std::string id, bool preStop);
  bool isCurrent(const Container& container, const std::string& id) const;

  // The end of containers and of the pod (pod_stop.cpp).
  void syncStop();
  bool stopContainers();
  void stopContainer(Container& container, std::string message, MonoTime deadline);
  void driveStop(Container& container, bool itsTurn);
  bool isItsTurnToStop(const Container& container) const;
  Co<void> kill(Container& container, std::string id, int signal);
  Co<void> tearDownFinished();
  Co<void> finish();
  Co<Status> tearDown();
  Co<void> removeFromServer();

  // Operations (pod_operations.cpp).
  void beginSetUp();
  void failSetUp(std::string_view what, const Status& status);
  void failConfig(Container& container, std::string_view reason, const Status& status);
  Co<void> setUpSandbox();
  EtcFiles etcFiles() const;
  Co<void> resolveImage(Container& container);
  void failImage(Container& container, const Status& status);
  Co<void> startContainer(Container& container);
  Co<void> discardHalfBegun(Container& container);
  void removeEarlier(Container& container);
  Co<void> removeLeftovers(Container& container);
  Co<void> refresh(Container& container);
  Co<Result<std::string>> pidNamespaceOf(std::string container);
  Status addTerminationLog(const Container& container, std::vector<Mount>& mounts);

  // Volumes, and the objects that the pod refers to (pod_storage.cpp).
  void holdReferences();
  ObjectLookup objectLookup() const;
  bool referencesKnown() const;
  void referencesChanged();
  void syncReferences();
  void syncVolumes();
  Result<std::vector<VolumeSpec>> planOwnVolumes() const;
  Co<void> setUpStorage();
  Co<void> refreshVolumes();
  Co<void> checkUsage();
  Co<Result<std::vector<Mount>>> containerMounts(const Container& container, Variables variables);
  void evict(std::string message);

  // Containers (pod_containers.cpp).
  void syncRunning();
  void syncContainer(Container& container);
  bool shouldRestart(const Container& container) const;
  void apply(Container& container, const ContainerStatus& status);
  void ended(Container& container, corev1::ContainerStateTerminated how, Duration ran);
  void lost(Container& container);

  std::string containerId(const Container& container, int attempt) const;
  std::string externalId(const std::string& id) const { return services_.runtimeName + "://" + id; }
  PodEnvironment environment() const;
  UserFiles userFiles(const Image& image) const;
  PodView view() const;
  /// At least one second, as kubelet gives.
  Duration gracePeriod() const;
  void event(client::EventClass type, std::string_view reason, std::string message);
  void event(const Container& container, client::EventClass type, std::string_view reason,
             std::string message);

  PodServices& services_;
  std::string uid_;
  api::Dormant<corev1::Pod> pod_;
  PodFolder folder_;
  std::vector<std::unique_ptr<Container>> containers_;  ///< init containers first, ephemeral last
  api::Dormant<corev1::PodStatus> status_;              ///< as last computed
  std::int64_t generation_ = 0;                         ///< of the spec that was looked at last
  WallTime startTime_;
  bool reported_ = false;              ///< the server has this status
  std::optional<MonoTime> statusDue_;  ///< of one that waits
  std::uint64_t savedRecord_ = 0;      ///< hash of what was written last

  std::vector<std::string> podIps_;
  SandboxNamespaces namespaces_;
  std::string pidNamespace_;
  PodVolumes::Folders volumes_;
  Step sandbox_ = Step::kTodo;
  bool sandboxFound_ = false;  ///< an earlier agent made it
  Step storage_ = Step::kTodo;
  bool addressed_ = false;       ///< podIps_ are the pod's
  bool storageBlocked_ = false;  ///< until an object that the pod refers to changes
  MonoTime setUpNotBefore_;
  std::string refusal_;  ///< why the node does not run the pod

  std::map<api::PodReference, ReferencedObjects::Reference> references_;
  PodTokens tokens_;
  bool referencesMoved_ = false;
  bool volumesStale_ = false;  ///< what the node writes into them may have changed
  bool refreshingVolumes_ = false;
  std::uint64_t volumesHash_ = 0;  ///< of what was written last
  MonoTime nextUsageCheck_;
  bool checkingUsage_ = false;

  bool initialized_ = false;           ///< containers that are no init containers have begun
  std::optional<PodFailure> failure_;  ///< the pod ends, whatever its containers say
  bool over_ = false;                  ///< the pod has ended by itself; what runs still is stopped
  bool inert_ = false;  ///< had ended before this agent could know: only its deletion matters
  bool stopping_ = false;
  bool removedAtServer_ = false;
  std::optional<MonoTime> stopDeadline_;
  bool tearingDown_ = false;
  bool tornDown_ = false;
  bool finishing_ = false;
  bool finished_ = false;

  bool dirty_ = true;
  WaitQueue changed_;
  WaitQueue removed_;
  std::optional<MonoTime> nextWake_;
  Clock::TimerId timer_ = 0;
  int operating_ = 0;  ///< operations that are not over
  TaskGroup operations_;
};

}  // namespace podlab::node
