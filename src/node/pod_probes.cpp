// The probes and hooks of a PodWorker's containers.
#include <algorithm>
#include <utility>

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>

#include "api/kinds.hpp"
#include "common/log.hpp"
#include "node/lifecycle_hooks.hpp"
#include "node/pod_container.hpp"

namespace podlab::node {
namespace {

using namespace asio::experimental::awaitable_operators;
using client::EventClass;

}  // namespace

void PodWorker::addProbes(Container& container) {
  const auto& spec = *container.spec;
  if (container.init && !container.sidecar) return;
  if (spec.has_startupprobe())
    container.probes.emplace_back(ProbeKind::kStartup, spec.startupprobe());
  if (spec.has_livenessprobe())
    container.probes.emplace_back(ProbeKind::kLiveness, spec.livenessprobe());
  if (spec.has_readinessprobe())
    container.probes.emplace_back(ProbeKind::kReadiness, spec.readinessprobe());
}

/// An instance runs. One that an earlier agent knew keeps what that agent had found out.
void PodWorker::beginProbes(Container& container) {
  const auto known = std::exchange(container.known, std::nullopt);
  const MonoTime now = services_.clock.now();
  // The clock may have been set back.
  const Duration age = std::max(
      Duration::zero(), services_.clock.wallNow() - container.view.startedAt.value_or(WallTime()));
  for (auto& probe : container.probes) {
    std::optional<bool> result;
    if (known && probe.kind() == ProbeKind::kStartup && known->started) result = true;
    if (known && probe.kind() == ProbeKind::kReadiness) result = known->ready;
    probe.begin(now - age, now, result);
  }
}

/// Other probes wait for the startup probe, which ends with its success; while the container is
/// being stopped, only readiness matters (kubelet pkg/kubelet/prober/worker.go doProbe).
void PodWorker::syncProbes(Container& container) {
  // A new agent has to find the pod's network first.
  if (container.postStart != Step::kDone || sandbox_ != Step::kDone) return;
  const bool started = container.passes(ProbeKind::kStartup);
  const MonoTime now = services_.clock.now();
  for (std::size_t i = 0; i < container.probes.size(); ++i) {
    auto& probe = container.probes[i];
    if (probe.running || probe.onHold()) continue;
    if ((probe.kind() == ProbeKind::kStartup) == started) continue;
    if (container.stopAt && probe.kind() != ProbeKind::kReadiness) continue;
    if (now < probe.due()) {
      wakeAt(probe.due());
      continue;
    }
    probe.running = true;
    spawn("probe", runProbe(container, i, containerId(container, container.attempt)));
  }
}

ProbeTarget PodWorker::probeTarget(const Container& container) const {
  ProbeTarget target;
  target.containerId = containerId(container, container.attempt);
  target.namespaces = namespaces_;
  target.podIp = podIps_.empty() ? "" : podIps_.front();
  target.ports.assign(container.spec->ports().begin(), container.spec->ports().end());
  return target;
}

bool PodWorker::isCurrent(const Container& container, const std::string& id) const {
  return container.running() && id == containerId(container, container.attempt);
}

Co<void> PodWorker::runProbe(Container& container, std::size_t index, std::string id) {
  auto target = probeTarget(container);
  auto spec = container.probes[index].spec();
  auto outcome = co_await services_.prober.probe(std::move(target), std::move(spec));
  if (!isCurrent(container, id)) co_return;
  auto& probe = container.probes[index];
  probe.running = false;
  probe.skipTo(services_.clock.now());
  const std::string name(probeKindName(probe.kind()));
  switch (outcome.verdict) {
    case ProbeVerdict::kSuccess:
      break;
    case ProbeVerdict::kWarning:
      event(container, EventClass::kWarning, "ProbeWarning",
            name + " probe warning: " + outcome.output);
      break;
    case ProbeVerdict::kFailure:
      event(container, EventClass::kWarning, "Unhealthy",
            name + " probe failed: " + outcome.output);
      break;
    case ProbeVerdict::kUnknown:
      event(container, EventClass::kWarning, "Unhealthy",
            name + " probe errored and resulted in unknown state: " + outcome.output);
      break;
  }
  if (outcome.verdict != ProbeVerdict::kUnknown) {
    probe.add(outcome.verdict != ProbeVerdict::kFailure);
    judge(container, probe);
  }
  wake();
}

/// What follows from a probe's result.
void PodWorker::judge(Container& container, const ProbeWorker& probe) {
  const MonoTime now = services_.clock.now();
  if (probe.kind() == ProbeKind::kStartup && probe.result() == true) {
    // Readiness is worth knowing at once.
    for (auto& other : container.probes)
      other.skipTo(now, /*atOnce=*/other.kind() == ProbeKind::kReadiness);
  }
  if (!probe.onHold() || container.stopAt) return;
  container.sick = true;
  const bool startup = probe.kind() == ProbeKind::kStartup;
  const bool restarts = container.sidecar || pod_->spec().restartpolicy() != "Never";
  const Duration grace = probe.spec().has_terminationgraceperiodseconds()
                             ? std::chrono::seconds(probe.spec().terminationgraceperiodseconds())
                             : gracePeriod();
  stopContainer(container,
                "Container " + container.spec->name() +
                    (startup ? " failed startup probe" : " failed liveness probe") +
                    (restarts ? ", will be restarted" : ""),
                now + grace);
}

std::function<void(std::string)> PodWorker::hookFallback() {
  return [this](std::string message) {
    event(EventClass::kWarning, "LifecycleHTTPSFallback", std::move(message));
  };
}

/// A hook that was cut off by the agent's death runs again: Kubernetes promises that hooks run at
/// least once.
Co<void> PodWorker::runPostStart(Container& container, std::string id) {
  auto target = probeTarget(container);
  auto handler = container.spec->lifecycle().poststart();
  auto fellBack = hookFallback();
  auto end = co_await (runHook(services_.clock, services_.prober, std::move(target),
                               std::move(handler), std::move(fellBack)) ||
                       untilHookMustEnd(container, id, /*preStop=*/false));
  if (!isCurrent(container, id)) co_return;
  container.postStart = Step::kDone;
  const auto* status = std::get_if<Status>(&end);
  if (status != nullptr && !status->ok()) {
    // The command's output may hold secrets: it is for the log only, as kubelet has it.
    logWarning("hook_failed", {{"hook", "postStart"}, {"container", id}, {"error", *status}});
    event(container, EventClass::kWarning, "FailedPostStartHook", "PostStartHook failed");
    stopContainer(container, "FailedPostStartHook", services_.clock.now() + gracePeriod());
  }
  wake();
}

Co<void> PodWorker::runPreStop(Container& container, std::string id) {
  auto target = probeTarget(container);
  auto handler = container.spec->lifecycle().prestop();
  auto fellBack = hookFallback();
  auto end = co_await (runHook(services_.clock, services_.prober, std::move(target),
                               std::move(handler), std::move(fellBack)) ||
                       untilHookMustEnd(container, id, /*preStop=*/true));
  if (!isCurrent(container, id)) co_return;
  container.preStop = Step::kDone;
  const auto* status = std::get_if<Status>(&end);
  if (status != nullptr && !status->ok()) {
    logWarning("hook_failed", {{"hook", "preStop"}, {"container", id}, {"error", *status}});
    event(container, EventClass::kWarning, "FailedPreStopHook", "PreStopHook failed");
  }
  wake();
}

/// A hook ends with its container; postStart also when the container is to stop, preStop with the
/// grace period.
Co<void> PodWorker::untilHookMustEnd(Container& container, std::string id, bool preStop) {
  while (isCurrent(container, id)) {
    const auto deadline = container.stopAt;
    if (deadline && (!preStop || services_.clock.now() >= *deadline)) break;
    if (deadline) {
      co_await container.hookMayEnd.waitUntil(services_.clock, *deadline);
    } else {
      co_await container.hookMayEnd.wait();
    }
  }
}

}  // namespace podlab::node
