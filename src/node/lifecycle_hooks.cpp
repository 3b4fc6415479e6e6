#include "node/lifecycle_hooks.hpp"

#include <utility>

#include "transport/tcp.hpp"
#include "transport/tls.hpp"

namespace podlab::node {
namespace {

Co<Status> ask(Prober& prober, ProbeTarget target, corev1::HTTPGetAction action,
               std::function<void(std::string message)> fellBack) {
  auto reply = co_await prober.get(target, action);
  if (!reply.status().message().ends_with(transport::kPlainHttpReply)) co_return reply.status();
  action.set_scheme("HTTP");
  auto plain = co_await prober.get(target, action);
  // kubelet keeps to the first error.
  if (!plain.ok()) co_return reply.status();
  const auto at = httpTarget(target, action);
  if (at.ok()) {
    fellBack("request to HTTPS lifecycle hook " + transport::joinHostPort(at->host, at->port) +
             " got HTTP response, retry with HTTP succeeded");
  }
  co_return Status();
}

}  // namespace

Co<Status> runHook(Clock& clock, Prober& prober, ProbeTarget target,
                   corev1::LifecycleHandler handler,
                   std::function<void(std::string message)> fellBack) {
  if (handler.has_exec()) {
    auto outcome = co_await prober.exec(std::move(target), handler.exec());
    co_return outcome.verdict == ProbeVerdict::kSuccess ? Status()
                                                        : Status(Code::kInternal, outcome.output);
  }
  if (handler.has_httpget()) {
    co_return co_await ask(prober, std::move(target), handler.httpget(), std::move(fellBack));
  }
  if (handler.has_sleep()) {
    co_await clock.sleepFor(std::chrono::seconds(handler.sleep().seconds()));
    co_return Status();
  }
  // As Kubernetes documents it of tcpSocket.
  co_return Status(Code::kInvalid, "hooks are exec, httpGet or sleep");
}

}  // namespace podlab::node
