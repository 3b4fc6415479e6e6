// When a PodWorker starts its containers, and what follows from their ends.
#include <algorithm>
#include <csignal>
#include <utility>

#include "api/times.hpp"
#include "node/container_id.hpp"
#include "node/pod_container.hpp"
#include "node/stored_images.hpp"
#include "node/termination_message.hpp"

namespace podlab::node {
namespace {

using client::EventClass;
using Phase = ContainerView::Phase;

constexpr int kKilledExitCode = 128 + SIGKILL;

}  // namespace

void PodWorker::syncRunning() {
  if (services_.networkUp && (sandbox_ == Step::kTodo || storage_ == Step::kTodo)) {
    if (services_.clock.now() >= setUpNotBefore_) {
      beginSetUp();
    } else {
      wakeAt(setUpNotBefore_);
    }
  }
  syncVolumes();
  bool open = true;  // the next container may start
  for (auto& container : containers_) {
    const bool main = !container->init && !container->ephemeral;
    if (container->init && !container->sidecar && (initialized_ || container->succeeded()))
      continue;
    if (open || container->running() || container->ephemeral) syncContainer(*container);
    if (container->init && !initialized_) open = open && container->sidecar && container->isUp();
    // Containers start one after the other as far as their hooks tell.
    if (main && container->spec->lifecycle().has_poststart())
      open = open && !container->busy && container->postStart == Step::kDone;
  }
}

bool PodWorker::shouldRestart(const Container& container) const {
  if (!container.view.ended) return true;
  if (container.ephemeral) return false;
  if (container.sidecar || container.outdated ||
      !isSameImage(container.view.image, container.spec->image()))
    return true;
  const auto& policy = pod_->spec().restartpolicy();
  if (policy == "Never") return false;
  return container.view.ended->exitcode() != 0 || (policy != "OnFailure" && !container.init);
}

void PodWorker::syncContainer(Container& container) {
  MonoTime now = services_.clock.now();
  if (container.running()) {
    if (container.outdated && !container.stopAt) {
      stopContainer(
          container,
          "Container " + container.spec->name() + " definition changed, will be restarted",
          now + gracePeriod());
    }
    if (container.stopAt) {
      driveStop(container, true);
    } else if (container.postStart == Step::kTodo && sandbox_ == Step::kDone) {
      container.postStart = Step::kBusy;
      spawn("postStart", runPostStart(container, containerId(container, container.attempt)));
    }
    syncProbes(container);
    return;
  }
  if (container.busy || container.configFailed || !shouldRestart(container)) return;
  if (now < container.notBefore) {
    if (container.view.phase == Phase::kTerminated) {
      container.view.phase = Phase::kWaiting;
      container.view.waitingReason = "CrashLoopBackOff";
      std::string pod =
          pod_->metadata().name() + "_" + pod_->metadata().namespace_() + "(" + uid_ + ")";
      container.view.waitingMessage = "back-off " + formatDuration(container.backoff.current()) +
                                      " restarting failed container=" + container.spec->name() +
                                      " pod=" + pod;
      event(container, EventClass::kWarning, "BackOff",
            "Back-off restarting failed container " + container.spec->name() + " in pod " + pod);
    }
    wakeAt(container.notBefore);
    return;
  }
  if (!container.image) {
    if (now < container.pullNotBefore) {
      if (now >= container.pullErrorUntil && container.view.waitingReason == "ErrImagePull") {
        container.view.waitingReason = "ImagePullBackOff";
        container.view.waitingMessage =
            "Back-off pulling image \"" + container.spec->image() + "\": " + container.pullError;
        event(container, EventClass::kNormal, "BackOff",
              "Back-off pulling image \"" + container.spec->image() + "\"");
        event(container, EventClass::kWarning, "Failed", "Error: ImagePullBackOff");
      }
      wakeAt(now < container.pullErrorUntil ? container.pullErrorUntil : container.pullNotBefore);
      return;
    }
    container.busy = true;
    spawn("resolve image", resolveImage(container));
    return;
  }
  if (sandbox_ == Step::kDone && storage_ == Step::kDone) {
    container.busy = true;
    spawn("start", startContainer(container));
  }
}

void PodWorker::apply(Container& container, const ContainerStatus& status) {
  if (status.id != containerId(container, container.attempt) || container.view.ended) return;
  if (status.state == ContainerState::kCreated) return;
  container.started = true;
  container.stopSignal = status.stopSignal;
  container.view.restartCount = container.attempt;
  container.view.containerId = externalId(status.id);
  if (status.state == ContainerState::kRunning) {
    if (container.running()) return;
    container.view.phase = Phase::kRunning;
    container.view.startedAt = status.startedAt.value_or(services_.clock.wallNow());
    beginProbes(container);
    return;
  }
  corev1::ContainerStateTerminated how;
  WallTime finished = status.finishedAt.value_or(services_.clock.wallNow());
  WallTime began = status.startedAt.value_or(container.view.startedAt.value_or(finished));
  how.set_exitcode(status.exitCode.value_or(kKilledExitCode));
  how.set_reason(status.oomKilled ? "OOMKilled" : how.exitcode() == 0 ? "Completed" : "Error");
  *how.mutable_startedat() = api::toTime(began);
  *how.mutable_finishedat() = api::toTime(finished);
  how.set_containerid(externalId(status.id));
  const auto& name = container.spec->name();
  std::string message = terminationMessage(services_.files, *container.spec, how.exitcode(),
                                           folder_.terminationMessage(name, container.attempt),
                                           folder_.log(name, container.attempt),
                                           terminationMessageLimit(containers_.size()));
  if (!message.empty()) how.set_message(std::move(message));
  ended(container, std::move(how), finished - began);
}

void PodWorker::ended(Container& container, corev1::ContainerStateTerminated how, Duration ran) {
  container.started = true;
  container.view.phase = Phase::kTerminated;
  container.view.startedAt.reset();
  container.stopAt.reset();
  container.terminatedAt.reset();
  container.killed = false;
  container.postStart = Step::kDone;
  container.hookMayEnd.notifyAll();
  container.image.reset();
  container.backoff.ended(ran);
  Duration delay = container.backoff.current();
  // What is stopped to be replaced did not crash.
  if (container.outdated) delay = {};
  container.charged = true;
  if (std::exchange(container.sick, false)) {
    // kubelet looks at the end of the instance before this one when it kills one.
    const auto& before = container.view.previous;
    container.charged = before.has_value();
    if (!before || services_.clock.wallNow() >= api::toWallTime(before->finishedat()) + delay)
      delay = {};
  }
  Duration since = services_.clock.wallNow() - api::toWallTime(how.finishedat());
  // API times have whole seconds: an end within this second is now.
  since = since < std::chrono::seconds(1) ? Duration::zero() : std::min(since, delay);
  container.notBefore = services_.clock.now() + delay - since;
  container.view.ended = std::move(how);
  if (services_.instanceEnded) services_.instanceEnded();
}

void PodWorker::lost(Container& container) {
  corev1::ContainerStateTerminated how;
  how.set_exitcode(kKilledExitCode);
  how.set_reason("ContainerStatusUnknown");
  how.set_message("The container was gone when the node's agent looked for it");
  how.set_containerid(externalId(containerId(container, container.attempt)));
  *how.mutable_finishedat() = api::toTime(services_.clock.wallNow());
  ended(container, std::move(how), Duration::zero());
  container.notBefore = {};
}

std::string PodWorker::containerId(const Container& container, int attempt) const {
  return ContainerId{uid_, container.spec->name(), attempt}.toString();
}

std::optional<PodWorker::ContainerAccess> PodWorker::access(std::string_view name) const {
  for (const auto& container : containers_) {
    if (container->spec->name() != name) continue;
    ContainerAccess access;
    access.attempt = container->started ? container->attempt : container->attempt - 1;
    if (access.attempt >= 0) access.id = containerId(*container, access.attempt);
    access.running = container->running();
    return access;
  }
  return std::nullopt;
}

bool PodWorker::isRunning(const std::string& id) const {
  return std::ranges::any_of(containers_, [&](const auto& container) {
    return container->running() && containerId(*container, container->attempt) == id;
  });
}

}  // namespace podlab::node
