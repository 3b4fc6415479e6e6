#include "node/streams.hpp"

#include <utility>

#include "api/pod_containers.hpp"
#include "node/stream_handlers.hpp"

namespace podlab::node {

Result<StreamTarget> findTarget(PodManager& pods, const std::string& ns, const std::string& pod,
                                const std::string& container) {
  StreamTarget target;
  target.worker = pods.find(ns, pod);
  if (target.worker == nullptr)
    return Status(Code::kNotFound, "pod \"" + ns + "/" + pod + "\" is not on this node");
  const auto& object = target.worker->pod();
  target.container = container.empty() ? api::defaultContainer(object) : container;
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
      if (opened.method() == "attach") co_return co_await serveAttach(*node, opened);
      if (opened.method() == "portforward") co_return co_await servePortForward(*node, opened);
      if (opened.method() == "probe") co_return co_await serveProbe(*node, opened);
      if (opened.method() == "usage") co_return co_await serveUsage(*node, opened);
      if (opened.method() == "peers") co_return co_await servePeers(*node, opened);
      co_return Status(Code::kBadRequest,
                       "method \"" + opened.method() + "\" is unknown to agents");
    };
    return serve(agent.get(), stream);
  };
}

}  // namespace podlab::node
