#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "common/blocking.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "common/sync.hpp"
#include "lab/hollow_config.hpp"
#include "node/agent.hpp"
#include "node/shared_limits.hpp"
#include "node/simulated_dataplane.hpp"
#include "node/simulated_filesystem.hpp"
#include "node/simulated_host.hpp"
#include "node/simulated_runtime.hpp"

namespace podlab::sim {

using lab::HollowBehaviour;

struct HollowNodeOptions {
  std::string name;
  std::map<std::string, std::string> labels;    ///< besides hostname, os and arch
  std::vector<corev1::Taint> taints;            ///< at registration
  std::map<std::string, std::string> capacity;  ///< "cpu", "memory", "pods": quantities
  std::vector<net::IpAddress> addresses;        ///< the node's own, at most one a family
  std::vector<net::Cidr> clusterRanges;         ///< of pods
  std::string version;                          ///< of podlab, as the node's kubeletVersion
  std::string bootId = {};                      ///< of the first boot; empty: drawn
  node::NodeRegistration::Intervals intervals = {};
  HollowBehaviour behaviour;
  std::shared_ptr<node::SharedLimits> limits = {};  ///< as AgentOptions has it
  bool agentsComeBack = true;  ///< false: one start() only, and nothing is kept for another agent
};

/// What a hollow node works with; all of it outlives the node.
struct HollowNodeDependencies {
  asio::any_io_executor executor;
  Clock& clock;
  Rng& rng;
  api::Api& api;  ///< as this node
};

/// A node whose host is simulated, behind the agent's own code. The host (containers, network,
/// files) lives as long as this object; agents come and go on it.
class HollowNode {
 public:
  HollowNode(HollowNodeDependencies dependencies, HollowNodeOptions options);
  /// No agent may run: stop() or crash() has come to its end.
  ~HollowNode();
  HollowNode(const HollowNode&) = delete;
  HollowNode& operator=(const HollowNode&) = delete;

  /// Starts an agent, which finds again what earlier ones left on the host. None may run.
  void start();
  /// Ends the agent in good order; the containers go on. Does nothing when none runs.
  Co<void> stop();
  /// Ends it as SIGKILL would, wherever it is: nothing that it does from now on has an effect.
  Co<void> crash();
  /// The power fails: the agent crashes, and all containers and networks are gone. start() is the
  /// boot.
  Co<void> powerOff();

  const std::string& name() const { return options_.name; }
  /// The agent, while one runs.
  const node::Agent* agent() const;
  node::SimulatedRuntime& runtime() { return runtime_; }

 private:
  struct Life;
  node::ContainerScript script(const node::ContainerSpec& container);
  node::AgentOptions agentOptions() const;
  Co<void> live(Life& life);

  HollowNodeDependencies dependencies_;
  HollowNodeOptions options_;
  std::string bootId_;
  node::SimulatedRuntime runtime_;
  node::SimulatedDataplane dataplane_;
  node::SimulatedImages images_;
  node::SimulatedVolumes volumes_;
  node::SimulatedPodDialer dialer_;
  node::SimulatedFilesystem files_;
  std::unique_ptr<BlockingPool> blocking_ = makeInlinePool();
  std::unique_ptr<Life> life_;
  WaitQueue ended_;
  TaskGroup tasks_;
};

}  // namespace podlab::sim
