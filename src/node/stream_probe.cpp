#include <algorithm>
#include <functional>
#include <utility>

#include "agent_rpc.pb.h"

#include "common/log.hpp"
#include "net/reach.hpp"
#include "node/reach_inspector.hpp"
#include "node/reach_messages.hpp"
#include "node/stream_handlers.hpp"

namespace podlab::node {
namespace {

void add(rpc::ProbeReport& report, const net::ProbeOutcome& outcome) {
  auto& result = *report.add_results();
  setKey(*result.mutable_key(), outcome.key);
  result.set_sent(outcome.sent);
  result.set_answered(outcome.answered);
  if (outcome.refused) result.set_refused(true);
  if (!outcome.error.empty()) result.set_error(outcome.error);
  if (outcome.answered == 0) return;
  result.set_rttminnanos(outcome.rttMin.count());
  result.set_rttmeannanos(outcome.rttMean.count());
  result.set_rttmaxnanos(outcome.rttMax.count());
}

void add(rpc::ProbeReport& report, const net::ProbeArrivals& arrivals) {
  auto& added = *report.add_arrivals();
  setKey(*added.mutable_key(), arrivals.key);
  added.set_count(arrivals.count);
}

/// Sends all items, in reports far below the largest message.
template <typename Item>
Co<Status> sendAll(rpc::Stream& stream, std::vector<Item> items) {
  constexpr std::size_t kItemsInAReport = 10000;
  Status sent;
  for (std::size_t i = 0; i < items.size() && sent.ok(); i += kItemsInAReport) {
    rpc::ProbeReport report;
    for (std::size_t j = i; j < std::min(items.size(), i + kItemsInAReport); ++j) {
      add(report, items[j]);
    }
    sent = co_await stream.send(rpc::encode(report));
  }
  co_return sent;
}

/// The ends as this node sees them; `absent`: pods of its own that have no network.
std::vector<net::ReachEnd> endsOf(const Agent& agent, const rpc::ProbeRequest& request,
                                  std::string& absent) {
  std::vector<net::ReachEnd> ends;
  for (const auto& endpoint : request.endpoints()) {
    net::ReachEnd end;
    end.sends = endpoint.sends();
    end.receives = endpoint.receives();
    end.addresses = addressesOf(endpoint.ips());
    end.otherSources = addressesOf(endpoint.othersources());
    for (const auto& port : endpoint.ports()) {
      end.ports.push_back({static_cast<std::uint8_t>(port.protocol()),
                           static_cast<std::uint16_t>(port.port()), port.own()});
    }
    if (endpoint.node() == agent.options().nodeName) {
      end.local = true;
      if (!endpoint.uid().empty()) {
        const auto* worker = agent.pods()->findByUid(endpoint.uid());
        end.local = worker != nullptr && !worker->namespaces().network.empty();
        if (end.local) {
          end.networkPath = worker->namespaces().network;
        } else {
          absent += (absent.empty() ? "" : ", ") + endpoint.namespace_() + "/" + endpoint.name();
        }
      }
    }
    ends.push_back(std::move(end));
  }
  return ends;
}

net::ReachOptions optionsOf(const rpc::ProbeSettings& settings) {
  constexpr std::uint32_t kMostPackets = 60000;  // of 16 bits of sequence
  net::ReachOptions options;
  options.timeout = std::chrono::milliseconds(settings.timeoutmillis());
  options.packetSize = static_cast<int>(std::min(settings.size(), 65535U));
  options.count = static_cast<int>(std::clamp(settings.count(), 1U, kMostPackets));
  options.interval = std::chrono::nanoseconds(settings.intervalnanos());
  return options;
}

}  // namespace

Co<Status> serveProbe(Agent& agent, rpc::Stream& stream) {
  const auto& deps = agent.dependencies();
  auto request = co_await receive<rpc::ProbeRequest>(stream);
  if (!request.ok()) co_return request.status();
  std::string absent;
  auto ends = endsOf(agent, *request, absent);
  ReachInspector inspector(deps.executor, deps.blocking, agent.options().nodeName, *request, ends);
  net::ReachSession session(deps.executor, deps.clock, deps.blocking, request->session(),
                            std::move(ends));
  // An end without a receiver shows as one that is not reached.
  const Status listening = co_await session.listen();
  if (!listening.ok()) logWarning("reach_receiver_failed", {{"error", listening}});
  rpc::ProbeReport report;
  Status sent = co_await stream.send(rpc::encode(report));
  // Until every node is done, its probes need this node's receivers.
  while (sent.ok()) {
    auto next = co_await receive<rpc::ProbeRequest>(stream);
    if (!next.ok()) co_return next.status().is(Code::kEndOfStream) ? Status() : next.status();
    rpc::ProbeReport last;
    last.set_done(true);
    switch (next->phase()) {
      case rpc::ProbeRequest::SEND: {
        auto outcomes = co_await session.send(optionsOf(request->settings()));
        sent = co_await sendAll(stream, std::move(outcomes));
        if (!absent.empty()) last.set_error("pods without a network at present: " + absent);
        break;
      }
      case rpc::ProbeRequest::TRACE:
        co_await inspector.trace(std::move(*next));
        break;
      case rpc::ProbeRequest::REPEAT: {
        auto outcomes = co_await session.send(optionsOf(request->settings()), inspector.keys());
        inspector.repeated(outcomes);
        break;
      }
      case rpc::ProbeRequest::FIND:
        *last.mutable_findings() = co_await inspector.find();
        break;
      default:
        sent = co_await sendAll(stream, session.arrivals());
        last.set_collected(listening.ok());
    }
    if (sent.ok()) sent = co_await stream.send(rpc::encode(last));
  }
  co_return sent;
}

}  // namespace podlab::node
