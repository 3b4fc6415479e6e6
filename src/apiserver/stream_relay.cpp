#include "apiserver/stream_relay.hpp"

#include <utility>

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>

#include "api/kinds.hpp"
#include "common/sync.hpp"

namespace podlab::apiserver {
namespace {

Status notConnected(const std::string& node) {
  return Status(
      Code::kUnavailable,
      "node \"" + node + "\" is not connected: its agent does not run, or cannot reach the server");
}

/// The pod that a request names.
template <typename Request>
Result<api::ResourceId> podOf(const std::string& message, std::string subresource) {
  Request request;
  if (Status bad = rpc::decode(message, request); !bad) return bad;
  return api::ResourceId{&api::kindFor<corev1::Pod>(), request.namespace_(), request.pod(),
                         std::move(subresource)};
}

/// Moves messages until one side ends; why.
Co<Status> pump(rpc::Stream& from, rpc::Stream& to) {
  while (true) {
    auto message = co_await from.receive();
    if (!message) co_return message.status();
    const Status sent = co_await to.send(std::move(*message));
    if (!sent) co_return sent;
  }
}

/// Client to agent, until the client fails. A client that has finished may still listen, and an
/// agent that takes no more has ended the stream, and says why to pump(): then this ends by
/// cancellation.
Co<Status> pumpUp(rpc::Stream& client, rpc::Stream& agent) {
  Status taken;
  while (taken) {
    auto message = co_await client.receive();
    if (!message && !message.status().is(Code::kEndOfStream)) co_return message.status();
    if (!message) break;
    taken = co_await agent.send(std::move(*message));
    if (taken.is(Code::kTooLarge)) co_return taken;
  }
  if (taken) agent.finish();
  co_await untilCancelled();
  co_return taken;
}

}  // namespace

StreamRelay::StreamRelay(ApiService& service, Clock& clock, Rng& rng)
    : authorizer_(service.authorizer()),
      api_(service.as(systemUser("relay"))),
      clock_(clock),
      rng_(rng) {}

Status StreamRelay::authorize(const User& user, std::string_view verb, api::ResourceId id) const {
  return authorizer_.check(user, Attributes{verb, std::move(id), "", nullptr, nullptr});
}

void StreamRelay::connected(const std::string& node, std::shared_ptr<rpc::Connection> connection) {
  agents_[node] = std::move(connection);
}

void StreamRelay::disconnected(const std::string& node, const rpc::Connection& connection) {
  const auto found = agents_.find(node);
  if (found != agents_.end() && found->second.get() == &connection) agents_.erase(found);
}

bool StreamRelay::serves(std::string_view method) {
  return method == "logs" || method == "exec" || method == "attach" || method == "portforward" ||
         method == "reach" || method == "peers" || method == "usage";
}

Co<Status> StreamRelay::serve(User user, rpc::Stream& client) {
  auto first = co_await client.receive();
  if (!first) co_return first.status();
  const std::string& method = client.method();
  if (method == "usage") co_return co_await usage(std::move(user), client, std::move(*first));
  if (method == "reach") co_return co_await reach(std::move(user), client, std::move(*first));
  if (method == "peers") co_return co_await peers(std::move(user), client, std::move(*first));
  auto pod = method == "logs"     ? podOf<rpc::LogRequest>(*first, "log")
             : method == "exec"   ? podOf<rpc::ExecRequest>(*first, "exec")
             : method == "attach" ? podOf<rpc::AttachRequest>(*first, "attach")
                                  : podOf<rpc::PortForwardRequest>(*first, "portforward");
  if (!pod) co_return pod.status();
  co_return co_await relay(std::move(user), client, std::move(*first), std::move(*pod));
}

Co<Status> StreamRelay::usage(User user, rpc::Stream& client, std::string first) {
  rpc::UsageRequest request;
  if (Status bad = rpc::decode(first, request); !bad) co_return bad;
  const api::ResourceId node{&api::kindFor<corev1::Node>(), "", request.node(), "usage"};
  if (Status denied = authorize(user, "get", node); !denied) co_return denied;
  auto report = co_await usageOf(request.node());
  if (!report) co_return report.status();
  co_return co_await client.send(rpc::encode(*report));
}

Co<Result<rpc::UsageReport>> StreamRelay::usageOf(std::string node) {
  auto agent = co_await openAt(node, "usage");
  if (!agent) co_return agent.status();
  rpc::UsageRequest request;
  request.set_node(node);
  if (Status sent = co_await (*agent)->send(rpc::encode(request)); !sent) co_return sent;
  auto answer = co_await (*agent)->receive();
  if (!answer) co_return answer.status();
  rpc::UsageReport report;
  if (Status bad = rpc::decode(*answer, report); !bad) co_return bad;
  co_return report;
}

Co<Result<std::string>> StreamRelay::nodeOf(User user, api::ResourceId id) {
  const std::string_view verb = id.subresource == "log" ? "get" : "create";
  if (Status denied = authorize(user, verb, id); !denied) co_return denied;
  id.subresource.clear();
  auto found = co_await api_->get(id);
  if (!found) co_return found.status();
  std::string node = api::as<corev1::Pod>(*found).spec().nodename();
  if (node.empty()) {
    co_return Status(Code::kBadRequest, "pod " + id.name + " does not have a host assigned");
  }
  if (!isConnected(node)) co_return notConnected(node);
  co_return node;
}

Co<Result<std::unique_ptr<rpc::Stream>>> StreamRelay::openAt(std::string node, std::string method) {
  const auto found = agents_.find(node);
  if (found == agents_.end()) co_return notConnected(node);
  const auto connection = found->second;
  co_return co_await connection->open(std::move(method));
}

Co<Status> StreamRelay::relay(User user, rpc::Stream& client, std::string first,
                              api::ResourceId id) {
  using namespace asio::experimental::awaitable_operators;
  auto node = co_await nodeOf(std::move(user), std::move(id));
  if (!node) co_return node.status();
  auto agent = co_await openAt(std::move(*node), client.method());
  if (!agent) co_return agent.status();
  const Status sent = co_await (*agent)->send(std::move(first));
  if (!sent) co_return sent;
  const auto end = co_await (pump(**agent, client) || pumpUp(client, **agent));
  const Status why = std::visit([](const Status& status) { return status; }, end);
  co_return why.is(Code::kEndOfStream) ? Status() : why;
}

}  // namespace podlab::apiserver
