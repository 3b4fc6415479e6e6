#include <algorithm>
#include <utility>

#include "agent_rpc.pb.h"

#include "common/log.hpp"
#include "net/reach.hpp"
#include "node/stream_handlers.hpp"

namespace podlab::node {
namespace {

std::vector<net::IpAddress> addressesOf(const rpc::ReachEndpoint& endpoint) {
  std::vector<net::IpAddress> addresses;
  for (const auto& text : endpoint.ips()) {
    auto address = net::IpAddress::parse(text);
    if (address.ok()) addresses.push_back(*address);
  }
  return addresses;
}

rpc::ProbeResult toResult(const net::ProbeOutcome& outcome) {
  rpc::ProbeResult result;
  result.set_from(outcome.from);
  result.set_to(outcome.to);
  result.set_family(static_cast<std::uint32_t>(outcome.family));
  result.set_protocol(outcome.protocol);
  result.set_ok(outcome.ok);
  if (!outcome.error.empty()) result.set_error(outcome.error);
  if (outcome.observedSource) result.set_observedsource(outcome.observedSource->toString());
  result.set_rttnanos(outcome.rtt.count());
  return result;
}

}  // namespace

Co<Status> serveProbe(Agent& agent, rpc::Stream& stream) {
  constexpr std::size_t kResultsInAReport = 10000;  // far below the largest message
  const auto& deps = agent.dependencies();
  auto request = co_await receive<rpc::ProbeRequest>(stream);
  if (!request.ok()) co_return request.status();
  net::ReachSession session(deps.executor, deps.clock, deps.blocking, request->session());
  std::vector<net::ReachPod> local;
  std::vector<net::ReachTarget> targets;
  std::string absent;
  for (int i = 0; i < request->endpoints_size(); ++i) {
    const auto& endpoint = request->endpoints(i);
    auto index = static_cast<std::uint32_t>(i);
    targets.push_back({index, addressesOf(endpoint)});
    const auto* worker = agent.pods()->findByUid(endpoint.uid());
    if (worker == nullptr || worker->namespaces().network.empty()) {
      if (endpoint.node() == agent.options().nodeName) {
        absent += (absent.empty() ? "" : ", ") + endpoint.namespace_() + "/" + endpoint.name();
      }
      continue;
    }
    local.push_back({index, worker->namespaces().network, addressesOf(endpoint)});
  }
  // A pod without a receiver shows as one that is not reached.
  Status listening = co_await session.listen(std::move(local), net::kReachPort);
  if (!listening.ok()) logWarning("reach_receiver_failed", {{"error", listening}});
  rpc::ProbeReport report;
  report.set_node(agent.options().nodeName);
  Status sent = co_await stream.send(rpc::encode(report));
  if (!sent.ok()) co_return sent;

  auto go = co_await receive<rpc::ProbeRequest>(stream);
  if (!go.ok()) co_return go.status().is(Code::kEndOfStream) ? Status() : go.status();
  net::ReachOptions options;
  options.timeout = std::chrono::milliseconds(request->timeoutmillis());
  auto outcomes = co_await session.send(std::move(targets), options);
  for (std::size_t i = 0; i < outcomes.size() && sent.ok(); i += kResultsInAReport) {
    report.clear_results();
    for (std::size_t j = i; j < std::min(outcomes.size(), i + kResultsInAReport); ++j) {
      *report.add_results() = toResult(outcomes[j]);
    }
    sent = co_await stream.send(rpc::encode(report));
  }
  if (!sent.ok()) co_return sent;
  report.clear_results();
  report.set_done(true);
  if (!absent.empty()) report.set_error("pods without a network at present: " + absent);
  sent = co_await stream.send(rpc::encode(report));
  // Until every node is done, its probes need this node's receivers.
  while (sent.ok()) {
    auto more = co_await stream.receive();
    if (!more.ok()) break;
  }
  co_return sent;
}

}  // namespace podlab::node
