#include "node/simulated_dataplane.hpp"

#include <utility>

namespace podlab::node {

void SimulatedDataplane::reboot() {
  network_.reset();
  peers_.clear();
  firewall_.reset();
  sandboxes_.clear();
}

Co<Result<NodeNetworkInfo>> SimulatedDataplane::discover() {
  co_return info_;
}

Co<Status> SimulatedDataplane::configureNode(NodeNetwork network) {
  network_ = std::move(network);
  co_return Status();
}

Co<Status> SimulatedDataplane::setPeers(std::vector<Peer> peers) {
  peers_ = std::move(peers);
  ++peerUpdates_;
  co_return Status();
}

Co<Result<std::vector<PeerFinding>>> SimulatedDataplane::probePeers(std::vector<Peer> peers,
                                                                    std::uint16_t) {
  std::vector<PeerFinding> findings;
  auto& names = probed_.emplace_back();
  for (const auto& peer : peers) {
    names.push_back(peer.node);
    const auto found = verdicts_.find(peer.node);
    findings.push_back({peer.node, found == verdicts_.end() ? net::PeerVerdict() : found->second});
  }
  co_return findings;
}

Co<Status> SimulatedDataplane::setFirewall(std::optional<net::NftTable> table) {
  if (!firewallFailure_.ok()) co_return firewallFailure_;
  firewall_ = std::move(table);
  ++firewallUpdates_;
  co_return Status();
}

Co<Result<SandboxNamespaces>> SimulatedDataplane::createSandbox(SandboxSpec spec) {
  SandboxScript script;
  if (script_) script = script_(spec);
  if (script.takes > Duration::zero()) co_await clock_.sleepFor(script.takes);
  if (!script.fails.ok()) co_return script.fails;
  std::string folder = "simulated/" + spec.podUid;
  SandboxNamespaces namespaces{folder + "/net", folder + "/ipc", folder + "/uts"};
  if (spec.hostNetwork) namespaces.network.clear();
  if (spec.hostIpc) namespaces.ipc.clear();
  sandboxes_[spec.podUid] = std::move(spec);
  co_return namespaces;
}

Co<Status> SimulatedDataplane::removeSandbox(std::string podUid) {
  sandboxes_.erase(podUid);
  co_return Status();
}

Co<Result<std::vector<std::string>>> SimulatedDataplane::listSandboxes() {
  std::vector<std::string> uids;
  for (const auto& [uid, spec] : sandboxes_) uids.push_back(uid);
  co_return uids;
}

}  // namespace podlab::node
