#include <map>
#include <utility>
#include <vector>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "apiserver/stream_relay.hpp"
#include "common/sync.hpp"

namespace podlab::apiserver {
namespace {

constexpr std::int64_t kDefaultTimeoutMillis = 2000;
constexpr Duration kListenTimeout = std::chrono::seconds(10);
/// What an agent may take beyond the probes' own time-out, for many pods.
constexpr Duration kReportSlack = std::chrono::seconds(30);

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
  std::size_t reporting = 0;

  void fail(Agent& agent, const Status& status) {
    rpc::ProbeReport report;
    report.set_node(agent.node);
    report.set_error(status.message());
    agent.stream.reset();
    reports.push(std::move(report));
  }

  static Co<void> listen(Agent& agent, std::string request, Status& outcome) {
    outcome = co_await agent.stream->send(std::move(request));
    if (!outcome) co_return;
    auto answer = co_await agent.stream->receive();
    if (!answer) {
      outcome = answer.status();
      co_return;
    }
    rpc::ProbeReport report;
    outcome = rpc::decode(*answer, report);
    if (outcome && !report.error().empty()) outcome = Status(Code::kInternal, report.error());
  }

  static Co<void> send(Session& session, Agent& agent, std::string request, Status& outcome) {
    outcome = co_await agent.stream->send(std::move(request));
    while (outcome) {
      auto message = co_await agent.stream->receive();
      if (!message) {
        outcome = message.status();
        break;
      }
      rpc::ProbeReport report;
      outcome = rpc::decode(*message, report);
      report.set_node(agent.node);
      const bool done = report.done();
      if (outcome) session.reports.push(std::move(report));
      // The stream stays open: the agent's receivers must outlast the other agents' probes.
      if (done) break;
    }
    if (outcome.is(Code::kEndOfStream)) outcome = Status();
  }

  static Co<void> listenTask(std::shared_ptr<Session> session, Agent& agent, Clock& clock) {
    Status outcome;
    auto work = listen(agent, rpc::encode(session->request), outcome);
    const bool inTime = co_await withDeadline(clock, clock.now() + kListenTimeout, std::move(work));
    if (!inTime) outcome = Status(Code::kTimeout, "the agent did not answer in time");
    if (!outcome) session->fail(agent, outcome);
  }

  static Co<void> sendTask(std::shared_ptr<Session> session, Agent& agent, Clock& clock,
                           std::string request) {
    Status outcome;
    const Duration limit =
        std::chrono::milliseconds(session->request.timeoutmillis()) + kReportSlack;
    auto work = send(*session, agent, std::move(request), outcome);
    const bool inTime = co_await withDeadline(clock, clock.now() + limit, std::move(work));
    if (!inTime) outcome = Status(Code::kTimeout, "the agent did not report in time");
    if (!outcome) session->fail(agent, outcome);
    if (--session->reporting == 0) session->reports.close();
  }
};

// The running pods that have addresses of their own.
Co<Result<rpc::ReachReport>> StreamRelay::listEndpoints(rpc::ReachRequest request) {
  api::ResourceId pods{&api::kindFor<corev1::Pod>(), request.namespace_(), "", ""};
  api::ListOptions options;
  options.labelSelector = request.labelselector();
  options.fieldSelector = "status.phase=Running";
  auto listed = co_await api_->list(std::move(pods), std::move(options));
  if (!listed) co_return listed.status();
  rpc::ReachReport endpoints;
  for (const auto& object : listed->items) {
    const auto& pod = api::as<corev1::Pod>(object);
    const bool reachable = !pod.spec().hostnetwork() && !pod.metadata().has_deletiontimestamp() &&
                           !pod.status().podips().empty();
    if (!reachable) continue;
    auto& endpoint = *endpoints.add_endpoints();
    endpoint.set_namespace_(pod.metadata().namespace_());
    endpoint.set_name(pod.metadata().name());
    endpoint.set_uid(pod.metadata().uid());
    endpoint.set_node(pod.spec().nodename());
    for (const auto& ip : pod.status().podips()) endpoint.add_ips(ip.ip());
  }
  co_return endpoints;
}

Co<Status> StreamRelay::reach(User user, rpc::Stream& client, std::string first) {
  rpc::ReachRequest request;
  if (Status bad = rpc::decode(first, request); !bad) co_return bad;
  api::ResourceId pods{&api::kindFor<corev1::Pod>(), request.namespace_(), "", "reach"};
  if (Status denied = authorize(user, "create", std::move(pods)); !denied) co_return denied;
  auto endpoints = co_await listEndpoints(request);
  if (!endpoints) co_return endpoints.status();
  const Status sent = co_await client.send(rpc::encode(*endpoints));
  if (!sent) co_return sent;

  auto session = std::make_shared<Session>();
  *session->request.mutable_endpoints() = endpoints->endpoints();
  session->request.set_timeoutmillis(request.timeoutmillis() > 0 ? request.timeoutmillis()
                                                                 : kDefaultTimeoutMillis);
  session->request.set_session(static_cast<std::uint32_t>(rng_.next()));
  session->request.set_phase(rpc::ProbeRequest::LISTEN);
  std::map<std::string, bool> nodes;
  for (const auto& endpoint : endpoints->endpoints()) nodes[endpoint.node()] = true;
  for (const auto& [node, used] : nodes) session->agents.push_back({node, nullptr});

  const auto executor = co_await asio::this_coro::executor;
  TaskGroup listening(executor);
  for (auto& agent : session->agents) {
    auto stream = co_await openAt(agent.node, "probe");
    if (!stream) {
      session->fail(agent, stream.status());
      continue;
    }
    agent.stream = std::move(*stream);
    listening.spawn("reach_listen", Session::listenTask(session, agent, clock_));
  }
  co_await listening.join();

  // All receivers are open.
  rpc::ProbeRequest go;
  go.set_session(session->request.session());
  go.set_timeoutmillis(session->request.timeoutmillis());
  go.set_phase(rpc::ProbeRequest::SEND);
  TaskGroup sending(executor);
  for (auto& agent : session->agents) {
    if (!agent.stream) continue;
    ++session->reporting;
    sending.spawn("reach_send", Session::sendTask(session, agent, clock_, rpc::encode(go)));
  }
  if (session->reporting == 0) session->reports.close();
  while (auto report = co_await session->reports.pop()) {
    rpc::ReachReport message;
    *message.mutable_report() = std::move(*report);
    const Status relayed = co_await client.send(rpc::encode(message));
    if (!relayed) co_return relayed;
  }
  for (auto& agent : session->agents) {
    if (agent.stream) agent.stream->finish();
  }
  co_return Status();
}

}  // namespace podlab::apiserver
