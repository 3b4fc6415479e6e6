#include "node/prober.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string_view>

#include "intstr.pb.h"

#include "common/sync.hpp"

namespace podlab::node {
namespace {

constexpr std::size_t kMaxOutput = 1024;  // of an event's message
constexpr std::size_t kMaxHead = 10 << 10;

using PortField = ::k8s::io::apimachinery::pkg::util::intstr::IntOrString;

/// 0 when the name is none of the container's ports.
std::uint16_t resolvePort(const PortField& port, const ProbeTarget& target) {
  if (port.type() == 0) return static_cast<std::uint16_t>(port.intval());
  for (const auto& declared : target.ports) {
    if (declared.name() == port.strval())
      return static_cast<std::uint16_t>(declared.containerport());
  }
  return 0;
}

ProbeOutcome failure(std::string output) {
  return {false, std::move(output)};
}

struct Endpoint {
  net::IpAddress address;
  std::uint16_t port = 0;
};

Result<Endpoint> resolve(const ProbeTarget& target, const std::string& host,
                         const PortField& port) {
  Endpoint endpoint;
  endpoint.port = resolvePort(port, target);
  if (endpoint.port == 0)
    return Status(Code::kInvalid,
                  "port \"" + port.strval() + "\" is none of the container's ports");
  auto address = net::IpAddress::parse(host.empty() ? target.podIp : host);
  if (!address.ok())
    return Status(Code::kInvalid,
                  "host \"" + host + "\" is not an IP address; omit it for the pod's own");
  endpoint.address = *address;
  return endpoint;
}

Bytes bytesOf(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// The code of "HTTP/1.1 200 OK"; nullopt when that is no status line.
std::optional<int> statusCode(std::string_view head) {
  if (!head.starts_with("HTTP/1.") || head.size() < 12 || head[8] != ' ') return std::nullopt;
  int code = 0;
  auto [end, error] = std::from_chars(head.data() + 9, head.data() + 12, code);
  if (error != std::errc() || end != head.data() + 12) return std::nullopt;
  return code;
}

}  // namespace

void ProbeResult::add(bool success, const corev1::Probe& spec) {
  run_ = run_ > 0 && success == last_ ? run_ + 1 : 1;
  last_ = success;
  int threshold = success ? std::max(1, spec.successthreshold())
                          : (spec.has_failurethreshold() ? spec.failurethreshold() : 3);
  if (run_ >= threshold) ready_ = success;
}

Co<ProbeOutcome> Prober::probe(ProbeTarget target, corev1::Probe spec) {
  int seconds = std::max(1, spec.timeoutseconds());
  ProbeOutcome outcome;
  bool inTime = co_await withDeadline(clock_, clock_.now() + std::chrono::seconds(seconds),
                                      run(target, spec, outcome));
  if (!inTime) outcome = failure("no answer within " + std::to_string(seconds) + "s");
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
  } else {
    outcome = failure("the probe names no exec, httpGet or tcpSocket");
  }
}

Co<ProbeOutcome> Prober::exec(const ProbeTarget& target, const corev1::ExecAction& action) {
  ExecSpec spec;
  spec.argv.assign(action.command().begin(), action.command().end());
  auto session = co_await runtime_.exec(target.containerId, spec);
  if (!session.ok()) co_return failure(session.status().message());
  ProbeOutcome outcome;
  for (;;) {
    auto output = co_await (*session)->read();
    if (!output.ok()) co_return failure(output.status().message());
    if (outcome.output.size() < kMaxOutput) outcome.output += output->data;
    if (output->exitCode) {
      outcome.success = *output->exitCode == 0;
      co_return outcome;
    }
  }
}

Co<ProbeOutcome> Prober::tcp(const ProbeTarget& target, const corev1::TCPSocketAction& action) {
  auto endpoint = resolve(target, action.host(), action.port());
  if (!endpoint.ok()) co_return failure(endpoint.status().message());
  auto stream = co_await dialer_.dial(target.namespaces, endpoint->address, endpoint->port);
  if (!stream.ok()) co_return failure(stream.status().message());
  co_return ProbeOutcome{true, ""};
}

Co<ProbeOutcome> Prober::http(const ProbeTarget& target, const corev1::HTTPGetAction& action) {
  if (!action.scheme().empty() && action.scheme() != "HTTP") {
    co_return failure("httpGet.scheme \"" + action.scheme() + "\" is not supported; use HTTP");
  }
  auto endpoint = resolve(target, action.host(), action.port());
  if (!endpoint.ok()) co_return failure(endpoint.status().message());
  auto stream = co_await dialer_.dial(target.namespaces, endpoint->address, endpoint->port);
  if (!stream.ok()) co_return failure(stream.status().message());

  std::string path = action.path();
  if (!path.starts_with('/')) path.insert(0, 1, '/');
  std::string host = endpoint->address.toString();
  if (!endpoint->address.isV4()) host = "[" + host + "]";
  host += ":" + std::to_string(endpoint->port);
  std::string headers = "User-Agent: podlab-probe\r\nAccept: */*\r\n";
  for (const auto& header : action.httpheaders()) {
    std::string name = header.name();
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (name == "host") {
      host = header.value();
    } else {
      headers += header.name() + ": " + header.value() + "\r\n";
    }
  }
  std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "Connection: close\r\n\r\n";
  Status sent = co_await (*stream)->write(bytesOf(request));
  if (!sent.ok()) co_return failure(sent.message());
  std::string head;
  while (head.size() < kMaxHead && head.find("\r\n") == std::string::npos) {
    std::byte buffer[1024];
    auto count = co_await (*stream)->read(buffer);
    if (!count.ok()) co_return failure("no HTTP answer: " + count.status().message());
    head.append(reinterpret_cast<const char*>(buffer), *count);
  }
  auto code = statusCode(head);
  if (!code) co_return failure("the answer is not HTTP/1.x");
  if (*code >= 200 && *code < 400) co_return ProbeOutcome{true, ""};
  co_return failure("HTTP probe failed with statuscode: " + std::to_string(*code));
}

}  // namespace podlab::node
