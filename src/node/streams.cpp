#include "node/streams.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>

#include "agent_rpc.pb.h"

#include "common/log.hpp"
#include "common/sync.hpp"
#include "net/reach.hpp"
#include "node/container_log.hpp"
#include "node/usage.hpp"

namespace podlab::node {
namespace {

using namespace asio::experimental::awaitable_operators;

constexpr const char* kDefaultContainer = "kubectl.kubernetes.io/default-container";

template <typename Message>
Co<Result<Message>> receive(rpc::Stream& stream) {
  auto bytes = co_await stream.receive();
  if (!bytes.ok()) co_return bytes.status();
  Message message;
  Status decoded = rpc::decode(*bytes, message);
  if (!decoded.ok()) co_return decoded;
  co_return message;
}

Co<Status> sendLog(ContainerLogReader& reader, rpc::Stream& stream) {
  for (;;) {
    auto text = co_await reader.read();
    if (text.status().is(Code::kEndOfStream)) co_return Status();
    if (!text.ok()) co_return text.status();
    rpc::LogChunk chunk;
    chunk.set_data(*std::move(text));
    Status sent = co_await stream.send(rpc::encode(chunk));
    if (!sent.ok()) co_return sent;
  }
}

/// Following ends with the instance; returns only when it is cancelled.
Co<void> finishWhenEnded(const PodManager& pods, std::string id, ContainerLogReader& log) {
  co_await pods.waitUntilEnded(std::move(id));
  log.finish();
  WaitQueue never;
  co_await never.wait();
}

Co<Status> serveLogs(Agent& agent, rpc::Stream& stream) {
  auto request = co_await receive<rpc::LogRequest>(stream);
  if (!request.ok()) co_return request.status();
  auto target =
      findTarget(*agent.pods(), request->namespace_(), request->pod(), request->container());
  if (!target.ok()) co_return target.status();
  const auto& access = target->access;
  int attempt = request->previous() ? access.attempt - 1 : access.attempt;
  if (attempt < 0) {
    co_return Status(Code::kBadRequest,
                     request->previous() ? "previous terminated container \"" + target->container +
                                               "\" in pod \"" + request->pod() + "\" not found"
                                         : "container \"" + target->container + "\" in pod \"" +
                                               request->pod() + "\" is waiting to start");
  }
  LogOptions options;
  options.follow = request->follow();
  if (request->has_taillines()) options.tailLines = request->taillines();
  if (request->has_sincenanos()) options.since = WallTime(Duration(request->sincenanos()));
  options.timestamps = request->timestamps();
  if (request->has_limitbytes()) options.limitBytes = request->limitbytes();
  PodFolder folder(agent.options().stateFolder, target->worker->pod().metadata().uid());
  auto opened = openContainerLog(agent.dependencies().executor,
                                 folder.log(target->container, attempt), options);
  if (!opened.ok()) co_return opened.status();
  auto& reader = **opened;
  if (!options.follow) co_return co_await sendLog(reader, stream);

  if (request->previous()) {
    reader.finish();
    co_return co_await sendLog(reader, stream);
  }
  auto end =
      co_await (sendLog(reader, stream) || finishWhenEnded(*agent.pods(), access.id, reader));
  co_return std::get<0>(end);
}

/// Until the client is gone.
Co<Status> relayInput(ExecSession& session, rpc::Stream& stream, bool stdin) {
  if (!stdin) session.closeStdin();
  for (;;) {
    auto frame = co_await receive<rpc::ExecFrame>(stream);
    if (frame.status().is(Code::kEndOfStream)) break;
    if (!frame.ok()) co_return frame.status();
    if (frame->has_rows()) {
      (void)session.resize(static_cast<int>(frame->rows()), static_cast<int>(frame->columns()));
    }
    // A program that reads no more is no reason to end: its output and exit code still matter.
    if (stdin && !frame->stdin().empty()) (void)co_await session.writeStdin(frame->stdin());
    if (stdin && frame->stdinend()) session.closeStdin();
  }
  if (stdin) session.closeStdin();
  WaitQueue never;
  co_await never.wait();
  co_return Status();
}

/// Until the program has ended.
Co<Status> relayOutput(ExecSession& session, rpc::Stream& stream) {
  for (;;) {
    auto read = co_await session.read();
    if (!read.ok()) co_return read.status();
    rpc::ExecFrame frame;
    if (!read->data.empty())
      (read->isStderr ? frame.mutable_stderr() : frame.mutable_stdout())->swap(read->data);
    if (read->exitCode) frame.set_exitcode(*read->exitCode);
    Status sent = co_await stream.send(rpc::encode(frame));
    if (!sent.ok() || read->exitCode) co_return sent;
  }
}

Co<Status> serveExec(Agent& agent, rpc::Stream& stream) {
  auto request = co_await receive<rpc::ExecRequest>(stream);
  if (!request.ok()) co_return request.status();
  auto target =
      findTarget(*agent.pods(), request->namespace_(), request->pod(), request->container());
  if (!target.ok()) co_return target.status();
  if (!target->access.running) {
    co_return Status(Code::kNotFound,
                     "container not found (\"" + target->container + "\"): it is not running");
  }
  ExecSpec spec;
  spec.argv.assign(request->command().begin(), request->command().end());
  spec.stdin = request->stdin();
  spec.tty = request->tty();
  auto session = co_await agent.dependencies().runtime.exec(target->access.id, std::move(spec));
  if (!session.ok()) co_return session.status();
  auto end =
      co_await (relayInput(**session, stream, request->stdin()) || relayOutput(**session, stream));
  co_return std::visit([](const Status& status) { return status; }, end);
}

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

/// Between the two samples of a rate.
constexpr Duration kUsageWindow = std::chrono::milliseconds(500);

Co<Status> serveUsage(Agent& agent, rpc::Stream& stream) {
  auto request = co_await receive<rpc::UsageRequest>(stream);
  if (!request.ok()) co_return request.status();
  const NodeCgroups& cgroups = agent.options().cgroups;
  Clock& clock = agent.dependencies().clock;
  const auto sample = [&cgroups] { return readNodeUsage(cgroups); };
  rpc::UsageReport report;
  if (!cgroups.any()) {
    report.set_error("there are no figures without cgroups: " + agent.options().limitsMissing);
  } else {
    BlockingPool& pool = agent.dependencies().blocking;
    const auto before = co_await pool.run(sample);
    const MonoTime begun = clock.now();
    co_await clock.sleepFor(kUsageWindow);
    const auto now = co_await pool.run(sample);
    report = usageReport(before, now, (clock.now() - begun).count());
  }
  co_return co_await stream.send(rpc::encode(report));
}

}  // namespace

Result<StreamTarget> findTarget(const PodManager& pods, const std::string& ns,
                                const std::string& pod, const std::string& container) {
  StreamTarget target;
  target.worker = pods.find(ns, pod);
  if (target.worker == nullptr)
    return Status(Code::kNotFound, "pod \"" + ns + "/" + pod + "\" is not on this node");
  const auto& object = target.worker->pod();
  target.container = container;
  if (container.empty()) {
    auto annotation = object.metadata().annotations().find(kDefaultContainer);
    target.container = annotation != object.metadata().annotations().end() ? annotation->second
                       : object.spec().containers_size() > 0 ? object.spec().containers(0).name()
                                                             : "";
  }
  auto access = target.worker->access(target.container);
  if (!access) {
    return Status(Code::kBadRequest,
                  "container " + target.container + " is not valid for pod " + pod);
  }
  target.access = *access;
  return target;
}

rpc::Handler makeStreamHandler(const std::unique_ptr<Agent>& agent) {
  return [&agent](rpc::Connection&, rpc::Stream& stream) -> Co<Status> {
    auto serve = [](Agent* node, rpc::Stream& opened) -> Co<Status> {
      if (node == nullptr || node->pods() == nullptr)
        co_return Status(Code::kUnavailable, "the node is starting");
      if (opened.method() == "logs") co_return co_await serveLogs(*node, opened);
      if (opened.method() == "exec") co_return co_await serveExec(*node, opened);
      if (opened.method() == "probe") co_return co_await serveProbe(*node, opened);
      if (opened.method() == "usage") co_return co_await serveUsage(*node, opened);
      co_return Status(Code::kBadRequest,
                       "method \"" + opened.method() + "\" is unknown to agents");
    };
    return serve(agent.get(), stream);
  };
}

}  // namespace podlab::node
