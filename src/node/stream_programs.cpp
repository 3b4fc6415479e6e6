#include <utility>
#include <variant>

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>

#include "agent_rpc.pb.h"

#include "api/pod_containers.hpp"
#include "common/sync.hpp"
#include "node/checkpoint.hpp"
#include "node/stream_handlers.hpp"
#include "node/streams.hpp"

namespace podlab::node {
namespace {

using namespace asio::experimental::awaitable_operators;

Co<void> never() {
  WaitQueue nothing;
  co_await nothing.wait();
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
  co_await never();
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

/// What a client of attach may do to the container.
struct AttachedInput {
  std::unique_ptr<ContainerInput> input;  ///< or none
  bool stdin = false;
  bool once = false;  ///< its end is that of the container's stdin
  ~AttachedInput() {
    if (once && input) input->end();
  }
};

/// The end of stdin, where the container's stays open, ends the session as with containerd.
Co<void> relayAttachedInput(AttachedInput& attached, rpc::Stream& stream, ContainerLogReader& log) {
  for (;;) {
    auto frame = co_await receive<rpc::ExecFrame>(stream);
    if (!frame.ok()) break;
    if (!attached.input) continue;
    if (frame->has_rows()) {
      (void)attached.input->resize(static_cast<int>(frame->rows()),
                                   static_cast<int>(frame->columns()));
    }
    if (!attached.stdin) continue;
    if (!frame->stdin().empty()) (void)co_await attached.input->write(frame->stdin());
    if (!frame->stdinend()) continue;
    if (attached.once) {
      attached.input->end();
    } else {
      log.finish();
    }
    attached.stdin = false;
  }
  co_await never();
}

/// Until the container has ended.
Co<Status> relayAttachedOutput(ContainerLogReader& log, rpc::Stream& stream) {
  for (;;) {
    auto output = co_await log.read();
    if (!output.ok()) co_return output.status().is(Code::kEndOfStream) ? Status() : output.status();
    rpc::ExecFrame frame;
    if (!output->text.empty()) frame.mutable_stdout()->swap(output->text);
    if (!output->stderrText.empty()) frame.mutable_stderr()->swap(output->stderrText);
    Status sent = co_await stream.send(rpc::encode(frame));
    if (!sent.ok()) co_return sent;
  }
}

Status notRunning(const std::string& container) {
  return {Code::kNotFound, "container not found (\"" + container + "\"): it is not running"};
}

}  // namespace

Co<Status> serveExec(Agent& agent, rpc::Stream& stream) {
  auto request = co_await receive<rpc::ExecRequest>(stream);
  if (!request.ok()) co_return request.status();
  auto target =
      findTarget(*agent.pods(), request->namespace_(), request->pod(), request->container());
  if (!target.ok()) co_return target.status();
  if (!target->access.running) co_return notRunning(target->container);
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

// The output is read from the container's log, which holds up neither the container nor other
// clients however slow this one is.
Co<Status> serveAttach(Agent& agent, rpc::Stream& stream) {
  auto request = co_await receive<rpc::AttachRequest>(stream);
  if (!request.ok()) co_return request.status();
  auto target =
      findTarget(*agent.pods(), request->namespace_(), request->pod(), request->container());
  if (!target.ok()) co_return target.status();
  const auto& pod = target->worker->pod();
  const auto spec = api::containerStreams(pod.spec(), target->container);
  if (!spec || !target->access.running) co_return notRunning(target->container);
  const bool stdin = request->stdin() && spec->stdin;
  const std::string id = target->access.id;

  LogOptions options;
  options.follow = true;
  options.tailLines = 0;
  options.separateStderr = true;
  const PodFolder folder(agent.options().stateFolder, pod.metadata().uid());
  auto log = openContainerLog(agent.dependencies().executor,
                              folder.log(target->container, target->access.attempt), options);
  if (!log.ok()) co_return log.status();
  AttachedInput attached;
  if (stdin || spec->tty) {
    auto opened = agent.dependencies().runtime.openInput(id);
    if (!opened.ok() && stdin) co_return opened.status();
    if (opened.ok()) attached.input = std::move(*opened);
    attached.stdin = stdin;
    attached.once = stdin && spec->stdinOnce && !spec->tty;
  }
  auto end =
      co_await (relayAttachedOutput(**log, stream) || finishWhenEnded(*agent.pods(), id, **log) ||
                relayAttachedInput(attached, stream, **log));
  const auto* status = std::get_if<Status>(&end);
  co_return status != nullptr ? *status : Status();
}

}  // namespace podlab::node
