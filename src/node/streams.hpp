#pragma once
#include <memory>

#include "node/agent.hpp"
#include "transport/rpc.hpp"

namespace podlab::node {

/// Serves what clients ask of the node over the agent's own connection, relayed by the server: the
/// methods "logs", "exec", "attach", "portforward" and "probe" of proto/agent_rpc.proto. `agent` is
/// looked at when a stream comes; without one, streams are refused with kUnavailable. It must
/// outlive the streams.
rpc::Handler makeStreamHandler(const std::unique_ptr<Agent>& agent);

/// Whom a request for logs, exec or attach means; the failures are in the words of kubelet.
struct StreamTarget {
  const PodWorker* worker = nullptr;
  std::string container;
  PodWorker::ContainerAccess access;
};
/// `container` empty: the one that the annotation kubectl.kubernetes.io/default-container names, or
/// the first.
Result<StreamTarget> findTarget(PodManager& pods, const std::string& ns, const std::string& pod,
                                const std::string& container);

}  // namespace podlab::node
