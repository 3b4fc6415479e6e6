#include "agent_rpc.pb.h"

#include "node/stream_handlers.hpp"

namespace podlab::node {

Co<Status> servePeers(Agent& agent, rpc::Stream& stream) {
  auto request = co_await receive<rpc::PeersRequest>(stream);
  if (!request.ok()) co_return request.status();
  const auto& deps = agent.dependencies();
  const auto session = static_cast<std::uint16_t>(1 + deps.rng.below(0xfffe));
  auto findings = co_await deps.dataplane.probePeers(agent.peers(), session);
  rpc::PeersReport report;
  report.set_node(agent.options().nodeName);
  if (!findings.ok()) {
    report.set_error(findings.status().message());
    co_return co_await stream.send(rpc::encode(report));
  }
  for (const auto& [peer, verdict] : *findings) {
    auto& finding = *report.add_findings();
    finding.set_peer(peer);
    finding.set_problem(verdict.problem);
    finding.set_remedy(verdict.remedy);
  }
  co_return co_await stream.send(rpc::encode(report));
}

}  // namespace podlab::node
