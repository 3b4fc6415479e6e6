#pragma once
// Inside src/node only: the handlers of the methods that streams.hpp names.
#include "node/agent.hpp"
#include "node/container_log.hpp"
#include "transport/rpc.hpp"

namespace podlab::node {

Co<Status> serveLogs(Agent& agent, rpc::Stream& stream);
Co<Status> serveExec(Agent& agent, rpc::Stream& stream);
Co<Status> serveAttach(Agent& agent, rpc::Stream& stream);
Co<Status> servePortForward(Agent& agent, rpc::Stream& stream);
Co<Status> serveProbe(Agent& agent, rpc::Stream& stream);
Co<Status> serveUsage(Agent& agent, rpc::Stream& stream);
Co<Status> servePeers(Agent& agent, rpc::Stream& stream);

/// Makes the log end with the instance `id`; returns only when it is cancelled.
Co<void> finishWhenEnded(PodManager& pods, std::string id, ContainerLogReader& log);

template <typename Message>
Co<Result<Message>> receive(rpc::Stream& stream) {
  auto bytes = co_await stream.receive();
  if (!bytes.ok()) co_return bytes.status();
  Message message;
  Status decoded = rpc::decode(*bytes, message);
  if (!decoded.ok()) co_return decoded;
  co_return message;
}

}  // namespace podlab::node
