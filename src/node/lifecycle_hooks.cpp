#include "node/lifecycle_hooks.hpp"

#include <utility>

namespace podlab::node {

Co<Status> runHook(Clock& clock, Prober& prober, ProbeTarget target,
                   corev1::LifecycleHandler handler) {
  if (handler.has_exec()) {
    auto outcome = co_await prober.exec(std::move(target), handler.exec());
    co_return outcome.verdict == ProbeVerdict::kSuccess ? Status()
                                                        : Status(Code::kInternal, outcome.output);
  }
  if (handler.has_httpget()) {
    auto reply = co_await prober.get(std::move(target), handler.httpget());
    co_return reply.status();
  }
  if (handler.has_sleep()) {
    co_await clock.sleepFor(std::chrono::seconds(handler.sleep().seconds()));
    co_return Status();
  }
  // As Kubernetes documents it of tcpSocket.
  co_return Status(Code::kInvalid, "hooks are exec, httpGet or sleep");
}

}  // namespace podlab::node
