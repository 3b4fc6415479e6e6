#include "agent_rpc.pb.h"

#include "net/node_network.hpp"
#include "net/peer_probe.hpp"
#include "node/stream_handlers.hpp"

namespace podlab::node {
namespace {

constexpr Duration kPatience = std::chrono::seconds(2);

/// One for each range of each peer, with the peer's name.
std::vector<std::pair<std::string, net::PeerTarget>> targetsOf(const std::vector<Peer>& peers) {
  std::vector<std::pair<std::string, net::PeerTarget>> targets;
  for (const auto& peer : peers) {
    for (const auto& range : peer.podRanges)
      targets.emplace_back(peer.node,
                           net::PeerTarget{peer.underlay.front(), net::NodeLayout::gateway(range)});
  }
  return targets;
}

}  // namespace

Co<Status> servePeers(Agent& agent, rpc::Stream& stream) {
  auto request = co_await receive<rpc::PeersRequest>(stream);
  if (!request.ok()) co_return request.status();
  const auto& deps = agent.dependencies();
  const auto targets = targetsOf(agent.peers());
  std::vector<net::PeerTarget> addresses;
  for (const auto& [name, target] : targets) addresses.push_back(target);
  rpc::PeersReport report;
  report.set_node(agent.options().nodeName);
  auto network = co_await deps.dataplane.discover();
  if (!network.ok()) {
    report.set_error(network.status().message());
    co_return co_await stream.send(rpc::encode(report));
  }
  net::PeerPath path;
  path.vxlan = agent.options().backend == "vxlan";
  path.vxlanPort = agent.options().vxlanPort;
  path.podMtu = network->mtu;
  const auto session = static_cast<std::uint16_t>(1 + deps.rng.below(0xfffe));
  auto probe = [addresses, mtu = path.podMtu, session] {
    return net::probePeers(addresses, mtu, session, kPatience);
  };
  auto answers = co_await deps.blocking.run(std::move(probe));
  if (!answers.ok()) {
    report.set_error(answers.status().message());
    co_return co_await stream.send(rpc::encode(report));
  }
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const auto verdict = net::judgePeer(targets[i].second, (*answers)[i], path);
    auto& finding = *report.add_findings();
    finding.set_peer(targets[i].first);
    finding.set_problem(verdict.problem);
    finding.set_remedy(verdict.remedy);
  }
  co_return co_await stream.send(rpc::encode(report));
}

}  // namespace podlab::node
