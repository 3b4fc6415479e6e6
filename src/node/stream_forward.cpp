#include <utility>

#include "agent_rpc.pb.h"

#include "node/stream_handlers.hpp"
#include "transport/tunnel.hpp"

namespace podlab::node {
namespace {

/// Connects to the port on the pod's loopback: by IPv4, or by IPv6 where only that listens.
Co<Result<std::unique_ptr<ByteStream>>> dialLoopback(PodDialer& dialer, SandboxNamespaces pod,
                                                     std::uint16_t port) {
  const auto v4 = net::IpAddress::parse("127.0.0.1");
  const auto v6 = net::IpAddress::parse("::1");
  auto connected = co_await dialer.dial(pod, *v4, port);
  if (connected.ok()) co_return connected;
  auto other = co_await dialer.dial(pod, *v6, port);
  if (other.ok()) co_return other;
  co_return connected.status();
}

}  // namespace

Co<Status> servePortForward(Agent& agent, rpc::Stream& stream) {
  auto request = co_await receive<rpc::PortForwardRequest>(stream);
  if (!request.ok()) co_return request.status();
  const auto* worker = agent.pods()->find(request->namespace_(), request->pod());
  if (worker == nullptr || !worker->hasNetwork()) {
    co_return Status(Code::kNotFound, "pod \"" + request->pod() + "\" has no network on this node");
  }
  if (!request->has_port()) {
    co_await agent.pods()->waitUntilDown(worker->pod().metadata().uid());
    co_return Status();
  }
  if (request->port() == 0 || request->port() > 65535) {
    co_return Status(Code::kBadRequest,
                     "port " + std::to_string(request->port()) + ": must be between 1 and 65535");
  }
  auto connection = co_await dialLoopback(agent.dependencies().dialer, worker->namespaces(),
                                          static_cast<std::uint16_t>(request->port()));
  if (!connection.ok()) {
    co_return connection.status().withContext(
        "error forwarding port " + std::to_string(request->port()) + " to pod " + request->pod());
  }
  co_return co_await rpc::tunnel(**connection, stream);
}

}  // namespace podlab::node
