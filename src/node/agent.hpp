#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "client/informer.hpp"
#include "common/blocking.hpp"
#include "common/clock.hpp"
#include "common/filesystem.hpp"
#include "common/rng.hpp"
#include "node/container_cgroup.hpp"
#include "node/container_runtime.hpp"
#include "node/dataplane.hpp"
#include "node/hosts_file.hpp"
#include "node/image_store.hpp"
#include "node/network_policies.hpp"
#include "node/node_registration.hpp"
#include "node/peer_checks.hpp"
#include "node/pod_dialer.hpp"
#include "node/pod_manager.hpp"
#include "node/pod_volumes.hpp"
#include "node/referenced_objects.hpp"
#include "node/shared_limits.hpp"
#include "node/volume_reclaimer.hpp"

namespace podlab::node {

/// What an agent works with; all of it outlives the agent.
struct AgentDependencies {
  asio::any_io_executor executor;
  Clock& clock;
  Rng& rng;
  api::Api& api;
  Dataplane& dataplane;
  ContainerRuntime& runtime;
  ImageStore& images;
  PodVolumes& volumes;
  PodDialer& dialer;
  Filesystem& files;
  BlockingPool& blocking;
};

struct AgentOptions {
  std::string nodeName;
  std::map<std::string, std::string> labels;    ///< besides hostname, os and arch
  std::vector<corev1::Taint> taints;            ///< at registration
  std::map<std::string, std::string> capacity;  ///< "cpu", "memory", "pods": quantities
  corev1::NodeSystemInfo
      system;               ///< readSystemInfo(), with the version of podlab as kubeletVersion
  std::string stateFolder;  ///< must exist
  std::vector<net::Cidr> clusterRanges;
  std::string backend = "vxlan";
  std::uint16_t vxlanPort = 8472;
  std::string volumesFolder;  ///< of PersistentVolumes, shared by the nodes of a host; empty: none
  ClusterDns dns;
  NodeCgroups cgroups;
  std::optional<std::int64_t> podPidsLimit;  ///< processes and threads of one pod
  std::string limitsMissing;                 ///< why limits are not enforced here; empty: they are
  std::string apiServer = {};                ///< "host:port" where pods find the API
  std::string standInProgram;                ///< podlab's own file, for stand-ins
  NodeRegistration::Intervals intervals;
  bool warningsOnly = false;  ///< no Normal events
  bool keepsRecords = true;   ///< of its pods, for a later agent
  /// Pods that have nothing to do are kept as their objects, and cost their set-up again with the
  /// next event: for nodes that are simulated, by the thousand.
  bool parksPods = false;
  std::shared_ptr<SharedLimits> limits;  ///< null: none
  /// What the node is short of, at the moment; called off the thread of logic. None: nothing ever.
  std::function<NodePressure()> pressure;
};

/// One node: registers it, takes its ranges from the server, keeps network and pods as the server's
/// objects say, and reports. Pods outlive the agent; the next one in the same state folder finds
/// them again, also while the server is away.
class Agent {
 public:
  Agent(AgentDependencies dependencies, AgentOptions options);
  ~Agent();

  /// Until requestStop(). A failure is one of the node itself: its underlay, runtime or state
  /// folder.
  Co<Status> run();
  void requestStop();

  /// Once run() has begun to serve; nullptr before.
  PodManager* pods() const { return pods_.get(); }
  /// The other nodes, as far as they can be reached.
  std::vector<Peer> peers() const;
  bool ready() const { return registration_ != nullptr && registration_->readiness().ready; }
  const AgentOptions& options() const { return options_; }
  const AgentDependencies& dependencies() const { return dependencies_; }

 private:
  Co<void> serve();
  Co<Status> begin();
  void watchNodes();
  void ownNode(const api::ObjectPtr& node);
  Co<void> keepNetwork();
  Co<Status> configureNetwork(std::vector<net::Cidr> ranges);
  Co<void> keepPeers();
  void tellOfPeers(const PeerHealth& health);
  void heedClashes(const std::vector<std::shared_ptr<const corev1::Node>>& nodes);
  Co<void> keepPods();
  Co<void> keepPressure();
  void postReadiness();
  Co<void> shutDown();

  AgentDependencies dependencies_;
  AgentOptions options_;
  CheckpointStore checkpoints_;
  AddressPool addresses_;
  StatusWriter statuses_;
  client::EventRecorder events_;
  Prober prober_;
  ReferencedObjects objects_;
  NetworkPolicies policies_;
  PeerChecks peerChecks_;
  std::unique_ptr<VolumeReclaimer> reclaimer_;
  std::unique_ptr<NodeRegistration> registration_;
  std::unique_ptr<client::Informer> nodes_;
  std::unique_ptr<client::Informer> podInformer_;
  std::unique_ptr<PodManager> pods_;

  std::vector<net::Cidr> wantedRanges_;
  std::vector<net::Cidr> ranges_;  ///< in use; empty: the network is not up
  Status network_{Code::kUnavailable, "it waits for a range from the server"};
  std::vector<net::IpAddress> underlay_;  ///< this node's addresses
  std::string clash_;                     ///< with another node; empty: there is none
  bool hasPeers_ = true;
  bool peersInTrouble_ = false;
  bool podsAreReported_ = false;
  bool peersDirty_ = false;
  bool stopRequested_ = false;
  Status failure_;
  WaitQueue changed_;
  TaskGroup tasks_;
};

}  // namespace podlab::node
