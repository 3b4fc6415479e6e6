#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "api/kinds.hpp"
#include "apiserver/stream_relay.hpp"
#include "common/sync.hpp"

namespace podlab::apiserver {
namespace {

constexpr std::int64_t kDefaultTimeoutMillis = 1000;
constexpr Duration kListenTimeout = std::chrono::seconds(10);
/// What an agent may take beyond the probes' own time-outs, for many pods.
constexpr Duration kReportSlack = std::chrono::seconds(30);
/// Probes that an agent sends in a second, at least.
constexpr std::int64_t kProbesInASecond = 2000;

/// How long a node's probes may take when none is answered.
Duration limitOf(const rpc::ProbeRequest& request, const std::string& node) {
  std::int64_t senders = 0;
  std::int64_t ports = 0;
  for (const auto& endpoint : request.endpoints()) {
    if (endpoint.sends() && endpoint.node() == node) senders += endpoint.ips_size();
    if (endpoint.receives()) ports += endpoint.ports_size();
  }
  const auto& settings = request.settings();
  return settings.count() * (std::chrono::seconds(senders * ports / kProbesInASecond) +
                             std::chrono::nanoseconds(settings.intervalnanos())) +
         std::chrono::milliseconds(settings.timeoutmillis()) + kReportSlack;
}

}  // namespace

/// One run of "reach". Shared by its tasks, which may outlive the caller's stream by a moment.
struct StreamRelay::Session {
  struct Agent {
    std::string node;
    std::unique_ptr<rpc::Stream> stream;  ///< null once it has failed
  };

  std::vector<Agent> agents;
  rpc::ProbeRequest request;
  AsyncQueue<rpc::ProbeReport> reports;

  void fail(Agent& agent, const Status& status) {
    rpc::ProbeReport report;
    report.set_node(agent.node);
    report.set_error(status.message());
    agent.stream.reset();
    reports.push(std::move(report));
  }

  /// Tells the agent what to do and takes its reports up to the last one, which LISTEN alone has.
  static Co<void> ask(Session& session, Agent& agent, std::string request, bool listening,
                      Status& outcome) {
    outcome = co_await agent.stream->send(std::move(request));
    for (bool done = false; outcome && !done;) {
      auto message = co_await agent.stream->receive();
      if (!message) {
        outcome = message.status();
        break;
      }
      rpc::ProbeReport report;
      outcome = rpc::decode(*message, report);
      done = listening || report.done();
      if (listening && !report.error().empty()) outcome = Status(Code::kInternal, report.error());
      report.set_node(agent.node);
      if (outcome && !listening) session.reports.push(std::move(report));
    }
  }

  static Co<void> phaseTask(std::shared_ptr<Session> session, Agent& agent, Clock& clock,
                            std::string request, bool listening, Duration limit,
                            std::shared_ptr<std::size_t> running) {
    Status outcome;
    auto work = ask(*session, agent, std::move(request), listening, outcome);
    const bool inTime = co_await withDeadline(clock, clock.now() + limit, std::move(work));
    if (!inTime) outcome = Status(Code::kTimeout, "the agent did not report in time");
    if (!outcome) session->fail(agent, outcome);
    // Wakes whoever relays: this phase may be over.
    if (--*running == 0) session->reports.push({});
  }
};

/// Pods as they are now, by uid: those that do not run, or have no address of their own, are named
/// as missing and neither send nor receive.
Co<Result<rpc::ReachReport>> StreamRelay::resolveEndpoints(rpc::ReachRequest request) {
  std::set<std::string> namespaces;
  for (const auto& endpoint : request.endpoints()) {
    if (!endpoint.uid().empty()) namespaces.insert(endpoint.namespace_());
  }
  std::map<std::string, api::ObjectPtr> running;
  for (const auto& ns : namespaces) {
    api::ResourceId pods{&api::kindFor<corev1::Pod>(), ns, "", ""};
    api::ListOptions options;
    options.fieldSelector = "status.phase=Running";
    auto listed = co_await api_->list(std::move(pods), std::move(options));
    if (!listed) co_return listed.status();
    for (auto& object : listed->items) {
      const auto& pod = api::as<corev1::Pod>(object);
      running[pod.metadata().uid()] = std::move(object);
    }
  }
  rpc::ReachReport report;
  for (auto& endpoint : *request.mutable_endpoints()) {
    auto& resolved = *report.add_endpoints();
    resolved = std::move(endpoint);
    if (resolved.uid().empty()) continue;
    resolved.clear_ips();
    resolved.clear_othersources();
    const auto found = running.find(resolved.uid());
    const auto* pod = found == running.end() ? nullptr : &api::as<corev1::Pod>(found->second);
    if (pod == nullptr || pod->spec().hostnetwork() || pod->metadata().has_deletiontimestamp() ||
        pod->status().podips().empty()) {
      resolved.clear_sends();
      resolved.clear_receives();
      report.add_missing(resolved.namespace_() + "/" + resolved.name());
      continue;
    }
    resolved.set_node(pod->spec().nodename());
    for (const auto& ip : pod->status().podips()) resolved.add_ips(ip.ip());
  }
  co_return report;
}

/// Pods need the right to "create pods/reach" where they are, other ends "create nodes/reach".
Status StreamRelay::mayReach(const User& user, const rpc::ReachRequest& request) const {
  std::set<std::string> namespaces;
  bool others = request.endpoints().empty();
  for (const auto& endpoint : request.endpoints()) {
    if (endpoint.uid().empty()) {
      others = true;
    } else {
      namespaces.insert(endpoint.namespace_());
    }
  }
  for (const auto& ns : namespaces) {
    api::ResourceId pods{&api::kindFor<corev1::Pod>(), ns, "", "reach"};
    if (Status denied = authorize(user, "create", std::move(pods)); !denied) return denied;
  }
  if (!others) return Status();
  api::ResourceId nodes{&api::kindFor<corev1::Node>(), "", "", "reach"};
  return authorize(user, "create", std::move(nodes));
}

/// One phase at all agents; what they report goes to the client.
Co<Status> StreamRelay::reachPhase(std::shared_ptr<Session> session, rpc::Stream& client,
                                   rpc::ProbeRequest::Phase phase) {
  const bool listening = phase == rpc::ProbeRequest::LISTEN;
  rpc::ProbeRequest go;
  go.set_session(session->request.session());
  go.set_phase(phase);
  const bool inspecting = phase >= rpc::ProbeRequest::TRACE;
  if (inspecting) *go.mutable_inspected() = session->request.inspected();
  const auto running = std::make_shared<std::size_t>(0);
  TaskGroup tasks(co_await asio::this_coro::executor);
  for (auto& agent : session->agents) {
    if (!agent.stream) continue;
    ++*running;
    const Duration limit = listening ? kListenTimeout : limitOf(session->request, agent.node);
    tasks.spawn("reach", Session::phaseTask(session, agent, clock_,
                                            rpc::encode(listening ? session->request : go),
                                            listening, limit, running));
  }
  while (*running > 0 || !session->reports.empty()) {
    auto report = co_await session->reports.pop();
    if (!report || report->node().empty()) continue;
    rpc::ReachReport message;
    *message.mutable_report() = std::move(*report);
    const Status relayed = co_await client.send(rpc::encode(message));
    if (!relayed) co_return relayed;
  }
  co_await tasks.join();
  co_return Status();
}

Co<Status> StreamRelay::reach(User user, rpc::Stream& client, std::string first) {
  rpc::ReachRequest request;
  if (Status bad = rpc::decode(first, request); !bad) co_return bad;
  if (Status denied = mayReach(user, request); !denied) co_return denied;
  auto session = std::make_shared<Session>();
  auto& settings = *session->request.mutable_settings();
  settings = request.settings();
  if (settings.timeoutmillis() <= 0) settings.set_timeoutmillis(kDefaultTimeoutMillis);
  settings.set_count(std::max(settings.count(), 1U));
  auto endpoints = co_await resolveEndpoints(std::move(request));
  if (!endpoints) co_return endpoints.status();
  Status sent = co_await client.send(rpc::encode(*endpoints));
  if (!sent) co_return sent;

  std::set<std::string> nodes;
  for (const auto& endpoint : endpoints->endpoints()) {
    const bool used = endpoint.sends() || endpoint.receives();
    if (used && !endpoint.node().empty()) nodes.insert(endpoint.node());
  }
  *session->request.mutable_endpoints() = std::move(*endpoints->mutable_endpoints());
  session->request.set_session(static_cast<std::uint32_t>(rng_.next()));
  for (const auto& node : nodes) session->agents.push_back({node, nullptr});
  for (auto& agent : session->agents) {
    auto stream = co_await openAt(agent.node, "probe");
    if (stream) {
      agent.stream = std::move(*stream);
    } else {
      session->fail(agent, stream.status());
    }
  }
  // Nobody sends before all receivers are open, and none closes before all have sent.
  for (const auto phase :
       {rpc::ProbeRequest::LISTEN, rpc::ProbeRequest::SEND, rpc::ProbeRequest::COLLECT}) {
    sent = co_await reachPhase(session, client, phase);
    if (!sent) co_return sent;
  }
  rpc::ReachReport measured;
  measured.set_measured(true);
  if (sent = co_await client.send(rpc::encode(measured)); !sent) co_return sent;
  auto more = co_await client.receive();
  if (more) {
    rpc::ReachInspection inspection;
    if (Status bad = rpc::decode(*more, inspection); !bad) co_return bad;
    *session->request.mutable_inspected() = std::move(*inspection.mutable_probes());
    for (const auto phase :
         {rpc::ProbeRequest::TRACE, rpc::ProbeRequest::REPEAT, rpc::ProbeRequest::FIND}) {
      sent = co_await reachPhase(session, client, phase);
      if (!sent) co_return sent;
    }
  }
  for (auto& agent : session->agents) {
    if (agent.stream) agent.stream->finish();
  }
  co_return Status();
}

}  // namespace podlab::apiserver
