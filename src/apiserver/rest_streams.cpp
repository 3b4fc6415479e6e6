// The requests of RestHandler that carry bytes of containers: logs, programs, forwarded ports.
#include <algorithm>
#include <charconv>
#include <utility>

#include <asio/this_coro.hpp>

#include "agent_rpc.pb.h"

#include "api/kinds.hpp"
#include "api/pod_containers.hpp"
#include "api/times.hpp"
#include "apiserver/local_stream.hpp"
#include "apiserver/rest_call.hpp"
#include "apiserver/rest_port_forward.hpp"
#include "apiserver/rest_program.hpp"

namespace podlab::apiserver {
namespace {

/// The chunks of a log, of which `next` is the first.
Co<Status> sendLog(Result<std::string>& next, rpc::Stream& stream, http::Sender& sender) {
  while (next) {
    rpc::LogChunk chunk;
    if (Status read = rpc::decode(*next, chunk); !read) co_return read;
    Status passed = co_await sender.send(chunk.data());
    if (!passed) co_return passed;
    next = co_await stream.receive();
  }
  co_return next.status().is(Code::kEndOfStream) ? Status() : next.status();
}

/// The client speaks SPDY, but of what its streams could carry nothing is known.
http::Response noCommonProtocol() {
  http::Response response = plainAnswer(403, "unable to upgrade: unable to negotiate protocol\n");
  for (const char* protocol :
       {"v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"})
    response.headers.emplace_back("X-Accepted-Stream-Protocol-Versions", protocol);
  return response;
}

/// The ports of the query of a port-forward over channels: "80,443"; upstream's limit of channels.
Result<std::vector<std::uint16_t>> forwardedPorts(std::string_view text) {
  constexpr std::size_t kMaxPorts = 127;
  std::vector<std::uint16_t> ports;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(one.data(), one.data() + one.size(), port);
    if (error != std::errc() || end != one.data() + one.size() || port == 0) {
      return Status(Code::kBadRequest,
                    "ports: \"" + std::string(one) + "\" is not a port from 1 to 65535");
    }
    ports.push_back(port);
  }
  if (ports.size() > kMaxPorts)
    return Status(Code::kBadRequest, "ports: at most " + std::to_string(kMaxPorts) + " at a time");
  return ports;
}

}  // namespace

Co<void> RestHandler::log(http::Exchange& exchange, Call& call) {
  rpc::LogRequest request;
  request.set_namespace_(call.id.ns);
  request.set_pod(call.id.name);
  request.set_container(call.text("container"));
  request.set_follow(call.flag("follow"));
  request.set_previous(call.flag("previous"));
  request.set_timestamps(call.flag("timestamps"));
  for (const auto& [name, set] : {std::pair{"tailLines", &rpc::LogRequest::set_taillines},
                                  std::pair{"limitBytes", &rpc::LogRequest::set_limitbytes}}) {
    const auto value = call.number(name);
    if (!value) co_return co_await exchange.respond(call.fail(value.status()));
    if (*value) (request.*set)(**value);
  }
  const auto since = call.number("sinceSeconds");
  if (!since) co_return co_await exchange.respond(call.fail(since.status()));
  if (*since) {
    const auto begin = clock_.wallNow() - std::chrono::seconds(**since);
    request.set_sincenanos(begin.time_since_epoch().count());
  } else if (const std::string text = call.text("sinceTime"); !text.empty()) {
    const auto begin = parseTime(text);
    if (!begin) {
      co_return co_await exchange.respond(call.fail(Status(
          Code::kBadRequest, "sinceTime: \"" + text + "\" is no time, as 2006-01-02T15:04:05Z")));
    }
    request.set_sincenanos(begin->time_since_epoch().count());
  }
  auto [ours, theirs] = makeLocalStream("logs");
  LocalService relaying(
      co_await asio::this_coro::executor,
      [this, user = call.user](rpc::Stream& stream) { return relay_.serve(user, stream); },
      std::move(theirs));
  Status sent = co_await ours->send(rpc::encode(request));
  // What fails before the first bytes is told by the status.
  Result<std::string> first = sent ? co_await ours->receive() : Result<std::string>(sent);
  if (!first && !first.status().is(Code::kEndOfStream)) {
    auto response = call.fail(first.status());
    co_await relaying.stop();
    co_return co_await exchange.respond(std::move(response));
  }
  http::Response head{200, {{"Content-Type", "text/plain"}}, ""};
  auto send = [&](http::Sender& sender) { return sendLog(first, *ours, sender); };
  co_await exchange.stream(std::move(head), send);
  co_await relaying.stop();
}

Co<void> RestHandler::program(http::Exchange& exchange, Call& call) {
  // What can be known before is told by a status: later there are only the streams. Who may run
  // programs needs no right to read the pod.
  const auto system = service_.as(systemUser("rest"));
  auto object = co_await system->get({call.id.kind, call.id.ns, call.id.name, ""});
  Status wrong = object.status();
  const std::string container = call.text("container");
  if (object) {
    const auto& pod = api::as<corev1::Pod>(*object);
    if (!container.empty() && !api::containerStreams(pod.spec(), container)) {
      wrong = Status(Code::kBadRequest,
                     "container " + container + " is not valid for pod " + call.id.name);
    } else if (!call.flag("stdin") && !call.flag("stdout") && !call.flag("stderr")) {
      wrong = Status(Code::kBadRequest, "you must specify at least 1 of stdin, stdout, stderr");
    } else if (spdy::wantsSpdy(call.request)) {
      if (streamProtocolOf(call.request).empty())
        co_return co_await exchange.respond(noCommonProtocol());
    } else if (channelProtocolOf(call.request).empty()) {
      wrong = Status(Code::kBadRequest,
                     "Upgrade request required: a WebSocket of v5.channel.k8s.io or "
                     "v4.channel.k8s.io, or SPDY/3.1 with streams of v4.channel.k8s.io");
    }
  }
  if (wrong.ok()) wrong = (co_await relay_.nodeOf(call.user, call.id)).status();
  if (!wrong.ok()) co_return co_await exchange.respond(call.fail(wrong));
  ProgramRequest program{
      call.id.subresource,
      "",
      {call.flag("stdin"), call.flag("stdout"), call.flag("stderr"), call.flag("tty")}};
  const auto fill = [&](auto& request) {
    request.set_namespace_(call.id.ns);
    request.set_pod(call.id.name);
    request.set_container(container);
    request.set_stdin(call.flag("stdin"));
    request.set_tty(call.flag("tty"));
  };
  if (program.method == "exec") {
    rpc::ExecRequest request;
    fill(request);
    const auto [begin, end] = call.parameters.equal_range("command");
    for (auto it = begin; it != end; ++it) request.add_command(it->second);
    program.message = rpc::encode(request);
  } else {
    rpc::AttachRequest request;
    fill(request);
    program.message = rpc::encode(request);
  }
  co_await serveProgram(exchange, relay_, clock_, call.user, std::move(program));
}

Co<void> RestHandler::portForward(http::Exchange& exchange, Call& call) {
  std::string list;
  const auto [begin, end] = call.parameters.equal_range("ports");
  for (auto it = begin; it != end; ++it) list += (list.empty() ? "" : ",") + it->second;
  auto ports = forwardedPorts(list);
  Status wrong = (co_await relay_.nodeOf(call.user, call.id)).status();
  if (wrong.ok()) wrong = ports.status();
  if (wrong.ok() && !wantsPortForward(call.request)) {
    wrong = Status(Code::kBadRequest,
                   "Upgrade request required: SPDY/3.1 with streams of portforward.k8s.io, or a "
                   "WebSocket of SPDY/3.1+portforward.k8s.io");
  }
  if (!wrong.ok()) co_return co_await exchange.respond(call.fail(wrong));
  api::ResourceId pod{call.id.kind, call.id.ns, call.id.name, ""};
  co_await servePortForward(exchange, relay_, clock_, call.user, std::move(pod), std::move(*ports));
}

}  // namespace podlab::apiserver
