#include "node/prober.hpp"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>

#include "intstr.pb.h"

#include "common/sync.hpp"
#include "node/grpc_health.hpp"
#include "transport/tcp.hpp"

namespace podlab::node {
namespace {

constexpr std::size_t kMaxOutput = 1024;  // of an event's message
constexpr int kMaxTries = 3;
constexpr int kMaxRedirects = 10;
constexpr std::string_view kAgent = "kube-probe/podlab";

using PortField = ::k8s::io::apimachinery::pkg::util::intstr::IntOrString;

ProbeOutcome failure(std::string output) {
  return {ProbeVerdict::kFailure, std::move(output)};
}

Result<std::uint16_t> resolvePort(const PortField& port, const ProbeTarget& target) {
  if (port.type() == 0) return static_cast<std::uint16_t>(port.intval());
  for (const auto& declared : target.ports) {
    if (declared.name() == port.strval())
      return static_cast<std::uint16_t>(declared.containerport());
  }
  return Status(Code::kInvalid, "port \"" + port.strval() + "\" is none of the container's ports");
}

Bytes bytesOf(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool isFollowed(int code) {
  return code == 301 || code == 302 || code == 303 || code == 307 || code == 308;
}

/// The head of a GET request; a header of the action replaces the usual one of its name.
/// `keepHost`: the action's Host header counts.
Result<std::string> requestFor(const HttpTarget& at, const corev1::HTTPGetAction& action,
                               bool keepHost) {
  std::string host = at.authority();
  std::string agent = "User-Agent: " + std::string(kAgent) + "\r\n";
  std::string accept = "Accept: */*\r\n";
  std::string others;
  for (const auto& header : action.httpheaders()) {
    const auto& value = header.value();
    if (std::ranges::any_of(value, [](unsigned char c) { return c < ' ' && c != '\t'; }))
      return Status(Code::kInvalid, "invalid header field value for \"" + header.name() + "\"");
    const std::string name = lower(header.name());
    if (name == "host") {
      if (keepHost) host = value;
      continue;
    }
    std::string& where = name == "user-agent" ? agent : name == "accept" ? accept : others;
    const std::string field = header.name() + ": " + value + "\r\n";
    if (&where == &others) {
      others += field;
    } else {
      where = value.empty() ? "" : field;
    }
  }
  return "GET " + at.path + " HTTP/1.1\r\nHost: " + host + "\r\n" + agent + accept + others +
         "Connection: close\r\n\r\n";
}

/// What kubelet says when the time is over.
std::string lateMessage(const ProbeTarget& target, const corev1::Probe& spec, int seconds) {
  const auto& handler = spec.handler();
  if (handler.has_exec()) {
    std::string command;
    for (const auto& word : handler.exec().command())
      command += (command.empty() ? "" : " ") + word;
    return "command \"" + command + "\" timed out";
  }
  const auto address = [&target](const std::string& host, const PortField& port) {
    return transport::joinHostPort(host.empty() ? target.podIp : host,
                                   resolvePort(port, target).valueOr(0));
  };
  if (handler.has_tcpsocket()) {
    const auto& socket = handler.tcpsocket();
    return "dial tcp " + address(socket.host(), socket.port()) + ": i/o timeout";
  }
  if (handler.has_grpc())
    return "timeout: health rpc did not complete within " + std::to_string(seconds) + "s";
  const auto& get = handler.httpget();
  return "Get \"" + lower(get.scheme().empty() ? "http" : get.scheme()) + "://" +
         address(get.host(), get.port()) + requestPath(get.path()) +
         "\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
}

}  // namespace

Result<HttpTarget> httpTarget(const ProbeTarget& target, const corev1::HTTPGetAction& action) {
  HttpTarget at;
  at.tls = lower(action.scheme()) == "https";
  at.host = action.host().empty() ? target.podIp : action.host();
  at.path = requestPath(action.path());
  auto port = resolvePort(action.port(), target);
  if (!port.ok()) return port.status();
  at.port = *port;
  return at;
}

Prober::Prober(Clock& clock, ContainerRuntime& runtime, PodDialer& dialer)
    : clock_(clock), runtime_(runtime), dialer_(dialer) {}

Co<ProbeOutcome> Prober::probe(ProbeTarget target, corev1::Probe spec) {
  const int seconds = std::max(1, spec.timeoutseconds());
  ProbeOutcome outcome;
  for (int attempt = 0; attempt < kMaxTries; ++attempt) {
    bool inTime = co_await withDeadline(clock_, clock_.now() + std::chrono::seconds(seconds),
                                        run(target, spec, outcome));
    if (!inTime) outcome = failure(lateMessage(target, spec, seconds));
    if (outcome.verdict != ProbeVerdict::kUnknown) break;
  }
  if (outcome.output.size() > kMaxOutput) outcome.output.resize(kMaxOutput);
  co_return outcome;
}

Co<void> Prober::run(const ProbeTarget& target, const corev1::Probe& spec, ProbeOutcome& outcome) {
  const auto& handler = spec.handler();
  if (handler.has_exec()) {
    outcome = co_await exec(target, handler.exec());
  } else if (handler.has_httpget()) {
    outcome = co_await http(target, handler.httpget());
  } else if (handler.has_tcpsocket()) {
    outcome = co_await tcp(target, handler.tcpsocket());
  } else if (handler.has_grpc()) {
    outcome = co_await grpc(target, handler.grpc(), std::max(1, spec.timeoutseconds()));
  } else {
    outcome = {ProbeVerdict::kUnknown, "missing probe handler"};
  }
}

Co<ProbeOutcome> Prober::exec(ProbeTarget target, corev1::ExecAction action) {
  ExecSpec spec;
  spec.argv.assign(action.command().begin(), action.command().end());
  auto session = co_await runtime_.exec(target.containerId, spec);
  if (!session.ok()) co_return ProbeOutcome{ProbeVerdict::kUnknown, session.status().message()};
  ProbeOutcome outcome;
  for (;;) {
    auto output = co_await (*session)->read();
    if (!output.ok()) co_return ProbeOutcome{ProbeVerdict::kUnknown, output.status().message()};
    if (outcome.output.size() < kMaxOutput) outcome.output += output->data;
    if (!output->exitCode) continue;
    outcome.verdict = *output->exitCode == 0 ? ProbeVerdict::kSuccess : ProbeVerdict::kFailure;
    co_return outcome;
  }
}

Co<Result<std::unique_ptr<ByteStream>>> Prober::dial(const ProbeTarget& target, std::string host,
                                                     std::uint16_t port) {
  auto address = net::IpAddress::parse(host);
  if (!address.ok()) {
    co_return Status(Code::kInvalid, "dial tcp: host \"" + host +
                                         "\" is not an IP address; omit it for the pod's own");
  }
  co_return co_await dialer_.dial(target.namespaces, *address, port);
}

Co<ProbeOutcome> Prober::tcp(const ProbeTarget& target, const corev1::TCPSocketAction& action) {
  auto port = resolvePort(action.port(), target);
  if (!port.ok()) co_return ProbeOutcome{ProbeVerdict::kUnknown, port.status().message()};
  auto stream = co_await dial(target, action.host().empty() ? target.podIp : action.host(), *port);
  if (!stream.ok()) co_return failure(stream.status().message());
  co_return ProbeOutcome{ProbeVerdict::kSuccess, ""};
}

Co<Result<HttpReply>> Prober::getOnce(const ProbeTarget& target, const HttpTarget& at,
                                      const corev1::HTTPGetAction& action, bool keepHost) {
  auto request = requestFor(at, action, keepHost);
  if (!request.ok()) co_return request.status();
  auto stream = co_await dial(target, at.host, at.port);
  if (!stream.ok()) co_return stream.status();
  if (at.tls) {
    if (tls_ == nullptr) tls_ = transport::makeUnverifyingClientTls();
    stream = co_await transport::tlsConnect(tls_, clock_, *std::move(stream), at.host);
    if (!stream.ok()) co_return stream.status();
  }
  Status sent = co_await (*stream)->write(bytesOf(*request));
  if (!sent.ok()) co_return sent;
  HttpReply reply;
  while (!reply.done()) {
    std::byte buffer[4096];
    auto count = co_await (*stream)->read(buffer);
    Status status = count.ok()
                        ? reply.feed({reinterpret_cast<const char*>(buffer), *count})
                        : (count.status().is(Code::kEndOfStream) ? reply.end() : count.status());
    if (!status.ok()) co_return status;
  }
  co_return reply;
}

Co<Result<HttpReply>> Prober::get(ProbeTarget target, corev1::HTTPGetAction action) {
  auto first = httpTarget(target, action);
  if (!first.ok()) co_return first.status();
  HttpTarget at = *first;
  bool keepHost = true;
  for (int redirects = 0;; ++redirects) {
    auto reply = co_await getOnce(target, at, action, keepHost);
    if (!reply.ok()) co_return reply.status().withContext("Get \"" + at.url() + "\"");
    if (!isFollowed(reply->code()) || reply->location().empty()) co_return reply;
    auto next = resolveLocation(at, reply->location());
    if (!next.ok()) co_return next.status().withContext("Get \"" + at.url() + "\"");
    // Another host's answer says nothing about this container.
    if (lower(next->host) != lower(first->host)) co_return reply;
    if (redirects + 1 >= kMaxRedirects) {
      co_return Status(Code::kInvalid, "Get \"" + next->url() + "\": stopped after 10 redirects");
    }
    // Go's client keeps a Host header through relative redirects only.
    keepHost = keepHost && reply->location().find("//") == std::string::npos;
    at = *std::move(next);
  }
}

Co<ProbeOutcome> Prober::http(const ProbeTarget& target, const corev1::HTTPGetAction& action) {
  if (auto first = httpTarget(target, action); !first.ok())
    co_return ProbeOutcome{ProbeVerdict::kUnknown, first.status().message()};
  auto reply = co_await get(target, action);
  if (!reply.ok()) co_return failure(reply.status().message());
  const int code = reply->code();
  if (code >= 200 && code < 300) co_return ProbeOutcome{ProbeVerdict::kSuccess, reply->body()};
  if (code >= 300 && code < 400) {
    co_return ProbeOutcome{ProbeVerdict::kWarning,
                           "Probe terminated redirects, Response body: " + reply->body()};
  }
  co_return failure("HTTP probe failed with statuscode: " + std::to_string(code));
}

Co<ProbeOutcome> Prober::grpc(const ProbeTarget& target, const corev1::GRPCAction& action,
                              int timeoutSeconds) {
  const auto port = static_cast<std::uint16_t>(action.port());
  const std::string address = transport::joinHostPort(target.podIp, port);
  const auto unconnected = [&address](const Status& status) {
    return failure("error: failed to connect service \"" + address + "\": " + status.message());
  };
  auto stream = co_await dial(target, target.podIp, port);
  if (!stream.ok()) {
    // Here gRPC's own client would go on trying, to say the same when the time is over.
    co_return failure("timeout: failed to connect service \"" + address + "\" within " +
                      std::to_string(timeoutSeconds) + "s: " + stream.status().message());
  }
  GrpcHealthCheck check(address, action.service());
  while (!check.done()) {
    std::string out = check.output();
    if (!out.empty()) {
      Status sent = co_await (*stream)->write(bytesOf(out));
      if (!sent.ok()) co_return unconnected(sent);
    }
    std::byte buffer[4096];
    auto count = co_await (*stream)->read(buffer);
    Status status =
        count.ok() ? check.feed({reinterpret_cast<const char*>(buffer), *count}) : count.status();
    if (!status.ok()) co_return unconnected(status);
  }
  const auto answer = check.answer();
  if (answer.code == kGrpcUnimplemented) {
    co_return failure(
        "error: this server does not implement the grpc health protocol "
        "(grpc.health.v1.Health): " +
        answer.message);
  }
  if (answer.code != 0) {
    co_return failure("error: health rpc probe failed: rpc error: code = " +
                      grpcCodeName(answer.code) + " desc = " + answer.message);
  }
  if (answer.serving != "SERVING")
    co_return failure("service unhealthy (responded with \"" + answer.serving + "\")");
  co_return ProbeOutcome{ProbeVerdict::kSuccess, "service healthy"};
}

}  // namespace podlab::node
