#include <utility>
#include <variant>

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>

#include "agent_rpc.pb.h"

#include "api/pod_containers.hpp"
#include "common/sync.hpp"
#include "node/checkpoint.hpp"
#include "node/container_id.hpp"
#include "node/stream_handlers.hpp"
#include "node/streams.hpp"

namespace podlab::node {
namespace {

using namespace asio::experimental::awaitable_operators;

Co<Status> sendLog(ContainerLogReader& reader, rpc::Stream& stream) {
  for (;;) {
    auto text = co_await reader.read();
    if (text.status().is(Code::kEndOfStream)) co_return Status();
    if (!text.ok()) co_return text.status();
    rpc::LogChunk chunk;
    chunk.set_data(std::move(text->text));
    Status sent = co_await stream.send(rpc::encode(chunk));
    if (!sent.ok()) co_return sent;
  }
}

std::optional<int> attemptOf(const std::string& containerId) {
  const auto id = ContainerId::parse(containerId);
  return id ? std::optional(id->attempt) : std::nullopt;
}

/// Which instance's log is meant, and why there is none, as kubelet (validateContainerLogStatus in
/// pkg/kubelet/kubelet_pods.go).
Result<int> chooseInstance(const StreamTarget& target, bool previous) {
  const std::string who = "container \"" + target.container + "\" in pod \"" +
                          target.worker->pod().metadata().name() + "\"";
  const auto* status = api::containerStatus(target.worker->status(), target.container);
  const corev1::ContainerStatus none;
  const auto& known = status != nullptr ? *status : none;
  const auto last = attemptOf(known.laststate().terminated().containerid());
  if (previous) {
    if (last) return *last;
    return Status(Code::kBadRequest, "previous terminated " + who + " not found");
  }
  if (known.state().has_running()) return target.access.attempt;
  if (const auto ended = attemptOf(known.state().terminated().containerid())) return *ended;
  if (last) return *last;
  if (known.state().has_terminated()) return Status(Code::kBadRequest, who + " is terminated");
  const std::string& reason = known.state().waiting().reason();
  if (reason.empty()) return Status(Code::kBadRequest, who + " is waiting to start - no logs yet");
  const std::string why = reason == "ErrImagePull"       ? "image can't be pulled"
                          : reason == "ImagePullBackOff" ? "trying and failing to pull image"
                                                         : reason;
  return Status(Code::kBadRequest, who + " is waiting to start: " + why);
}

}  // namespace

Co<void> finishWhenEnded(PodManager& pods, std::string id, ContainerLogReader& log) {
  co_await pods.waitUntilEnded(std::move(id));
  log.finish();
  co_await untilCancelled();
}

Co<Status> serveLogs(Agent& agent, rpc::Stream& stream) {
  auto request = co_await receive<rpc::LogRequest>(stream);
  if (!request.ok()) co_return request.status();
  auto target =
      findTarget(*agent.pods(), request->namespace_(), request->pod(), request->container());
  if (!target.ok()) co_return target.status();
  const auto& pod = target->worker->pod();
  auto attempt = chooseInstance(*target, request->previous());
  if (!attempt.ok()) co_return attempt.status();
  LogOptions options;
  options.follow = request->follow();
  if (request->has_taillines()) options.tailLines = request->taillines();
  if (request->has_sincenanos()) options.since = WallTime(Duration(request->sincenanos()));
  options.timestamps = request->timestamps();
  if (request->has_limitbytes()) options.limitBytes = request->limitbytes();
  PodFolder folder(agent.options().stateFolder, pod.metadata().uid());
  auto opened = openContainerLog(agent.dependencies().executor,
                                 folder.log(target->container, *attempt), options);
  if (opened.status().is(Code::kNotFound)) {
    co_return Status(Code::kNotFound, "unable to retrieve container logs for " + target->container +
                                          " in pod " + request->pod() + ": the log is not there");
  }
  if (!opened.ok()) co_return opened.status();
  auto& reader = **opened;
  if (!options.follow) co_return co_await sendLog(reader, stream);

  if (*attempt != target->access.attempt) {
    reader.finish();
    co_return co_await sendLog(reader, stream);
  }
  auto end = co_await (sendLog(reader, stream) ||
                       finishWhenEnded(*agent.pods(), target->access.id, reader));
  co_return std::get<0>(end);
}

}  // namespace podlab::node
