#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "node/dataplane.hpp"

namespace podlab::node {

/// A node's network that exists in memory only, for hollow nodes and tests. Like the kernel's, it
/// outlives agents.
class SimulatedDataplane final : public Dataplane {
 public:
  SimulatedDataplane(Clock& clock, NodeNetworkInfo info) : clock_(clock), info_(std::move(info)) {}

  /// How long a sandbox takes, and whether it fails.
  struct SandboxScript {
    Duration takes{};
    Status fails;
  };
  void setSandboxScript(std::function<SandboxScript(const SandboxSpec&)> script) {
    script_ = std::move(script);
  }
  /// The host reboots: all is gone.
  void reboot();

  const std::optional<NodeNetwork>& network() const { return network_; }
  const std::vector<Peer>& peers() const { return peers_; }
  /// No packet passes here; what would be enforced can be looked at.
  const std::optional<net::NftTable>& firewall() const { return firewall_; }
  std::size_t firewallUpdates() const { return firewallUpdates_; }
  void setFirewallFailure(Status failure) { firewallFailure_ = std::move(failure); }
  /// What is between this node and the peer of that name from now on.
  void setPeerVerdict(const std::string& peer, net::PeerVerdict verdict) {
    verdicts_[peer] = std::move(verdict);
  }
  /// The peers of each probePeers().
  const std::vector<std::vector<std::string>>& probed() const { return probed_; }
  std::size_t peerUpdates() const { return peerUpdates_; }
  const std::map<std::string, SandboxSpec>& sandboxes() const { return sandboxes_; }

  Co<Result<NodeNetworkInfo>> discover() override;
  Co<Status> configureNode(NodeNetwork network) override;
  Co<Status> setPeers(std::vector<Peer> peers) override;
  Co<Result<std::vector<PeerFinding>>> probePeers(std::vector<Peer> peers,
                                                  std::uint16_t session) override;
  Co<Status> setFirewall(std::optional<net::NftTable> table) override;
  Co<Result<SandboxNamespaces>> createSandbox(SandboxSpec spec) override;
  Co<Status> removeSandbox(std::string podUid) override;
  Co<Result<std::vector<std::string>>> listSandboxes() override;

 private:
  Clock& clock_;
  NodeNetworkInfo info_;
  std::function<SandboxScript(const SandboxSpec&)> script_;
  std::optional<NodeNetwork> network_;
  std::vector<Peer> peers_;
  std::size_t peerUpdates_ = 0;
  std::map<std::string, net::PeerVerdict> verdicts_;
  std::vector<std::vector<std::string>> probed_;
  std::optional<net::NftTable> firewall_;
  std::size_t firewallUpdates_ = 0;
  Status firewallFailure_;
  std::map<std::string, SandboxSpec> sandboxes_;
};

}  // namespace podlab::node
