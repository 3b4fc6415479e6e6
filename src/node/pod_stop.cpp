// How a PodWorker ends containers, and the pod.
#include <algorithm>
#include <csignal>
#include <utility>

#include "api/kinds.hpp"
#include "common/log.hpp"
#include "node/pod_container.hpp"
#include "node/until_done.hpp"

namespace podlab::node {
namespace {

using client::EventClass;

/// Between SIGTERM and SIGKILL there is always so much (kubelet minimumGracePeriodInSeconds).
constexpr Duration kMinimumGrace = std::chrono::seconds(2);
constexpr Duration kKillRetry = std::chrono::seconds(1);
constexpr Duration kFirstRetry = std::chrono::milliseconds(200);
constexpr Duration kLastRetry = std::chrono::seconds(30);

}  // namespace

void PodWorker::syncStop() {
  bool pending = sandbox_ == Step::kBusy || storage_ == Step::kBusy || tearingDown_;
  pending = stopContainers() || pending;
  if (pending || finishing_) return;
  finishing_ = true;
  spawn("finish", finish());
}

/// Whether something is left to wait for.
bool PodWorker::stopContainers() {
  bool left = false;
  for (auto& container : containers_) {
    left = left || container->busy || container->running();
    if (container->busy || !container->running()) continue;
    if (!stopDeadline_) stopDeadline_ = services_.clock.now() + gracePeriod();
    stopContainer(*container, "Stopping container " + container->spec->name(), *stopDeadline_);
    driveStop(*container, isItsTurnToStop(*container));
    syncProbes(*container);
  }
  return left;
}

/// Sidecars outlive the containers that they serve: the last one ends first.
bool PodWorker::isItsTurnToStop(const Container& container) const {
  if (!container.sidecar) return true;
  bool after = false;
  return std::ranges::none_of(containers_, [&](const auto& other) {
    const bool later = after && other->sidecar;
    after = after || other.get() == &container;
    const bool main = !other->init && !other->ephemeral;
    return (later || main) && (other->running() || other->busy);
  });
}

/// Says so once; a later call can only make the grace period end earlier.
void PodWorker::stopContainer(Container& container, std::string message, MonoTime deadline) {
  if (!container.stopAt) event(container, EventClass::kNormal, "Killing", std::move(message));
  if (container.stopAt && *container.stopAt <= deadline) return;
  container.stopAt = deadline;
  container.hookMayEnd.notifyAll();
}

/// The preStop hook, the container's turn and SIGTERM, then SIGKILL. The hook and the waiting count
/// against the grace period.
void PodWorker::driveStop(Container& container, bool itsTurn) {
  const MonoTime now = services_.clock.now();
  const std::string id = containerId(container, container.attempt);
  if (container.preStop == Step::kTodo) {
    const bool runs = container.spec->lifecycle().has_prestop() && now < *container.stopAt;
    container.preStop = runs ? Step::kBusy : Step::kDone;
    if (runs) spawn("preStop", runPreStop(container, id));
  }
  if (container.preStop == Step::kBusy) return;
  if (!container.terminatedAt) {
    if (!itsTurn && now < *container.stopAt) {
      wakeAt(*container.stopAt);
      return;
    }
    container.terminatedAt = now;
    spawn("kill", kill(container, id, container.stopSignal));
  }
  const MonoTime killAt = std::max(
      {*container.stopAt, *container.terminatedAt + kMinimumGrace, container.killNotBefore});
  if (now < killAt) {
    wakeAt(killAt);
  } else if (!std::exchange(container.killed, true)) {
    spawn("kill", kill(container, id, SIGKILL));
  }
}

Co<void> PodWorker::kill(Container& container, std::string id, int signal) {
  Status status = co_await services_.runtime.kill(id, signal);
  if (!isCurrent(container, id)) co_return;
  if (status.is(Code::kNotFound)) {
    containerChanged(id);
  } else if (!status.ok()) {
    logWarning("kill_failed", {{"id", id}, {"signal", signal}, {"error", status}});
    if (signal == SIGKILL) {
      container.killNotBefore = services_.clock.now() + kKillRetry;
      container.killed = false;
    }
  }
  wake();
}

Co<Status> PodWorker::tearDown() {
  Status worst;
  auto keep = [&worst](Status status) {
    if (worst.ok()) worst = std::move(status);
  };
  for (const auto& container : containers_) {
    auto ids = container->leftovers;
    for (int attempt = std::max(0, container->attempt - 1); attempt <= container->attempt;
         ++attempt) {
      ids.insert(containerId(*container, attempt));
    }
    for (const auto& id : ids) keep(co_await services_.runtime.remove(id));
  }
  if (pod_->spec().shareprocessnamespace())
    keep(co_await services_.runtime.removePidNamespace(uid_));
  Status removed = co_await services_.dataplane.removeSandbox(uid_);
  if (removed.ok()) services_.policies.remove(uid_);
  keep(std::move(removed));
  keep(co_await services_.volumes.tearDown(uid_));
  co_return worst;
}

Co<void> PodWorker::tearDownFinished() {
  auto step = [this]() -> Co<Status> {
    Status status = co_await tearDown();
    // The address goes with the sandbox: finished pods are kept for their logs, by the thousand.
    if (status.ok()) status = co_await services_.addresses.release(uid_);
    // A pod that is to go is torn down once more.
    co_return stopping_ ? Status() : status;
  };
  co_await untilDone(services_.clock, "pod_tear_down_failed", api::keyOf(*pod_), step);
  tearingDown_ = false;
  tornDown_ = true;
  references_.clear();
  tokens_.cancel();
  sandbox_ = storage_ = Step::kTodo;
  sandboxFound_ = false;
  if (services_.addressFreed) services_.addressFreed();
  if (services_.instanceEnded) services_.instanceEnded();
  wake();
}

Co<void> PodWorker::finish() {
  references_.clear();
  tokens_.cancel();
  auto step = [this] { return tearDown(); };
  co_await untilDone(services_.clock, "pod_tear_down_failed", api::keyOf(*pod_), step);
  sandbox_ = storage_ = Step::kTodo;
  sandboxFound_ = false;
  if (!removedAtServer_) co_await removeFromServer();
  services_.statuses.forget(uid_);
  auto forget = [this]() -> Co<Status> {
    Status status = co_await services_.addresses.release(uid_);
    // The record goes last: until then a restarted agent knows of the pod.
    co_return status.ok() ? services_.checkpoints.removePod(uid_) : status;
  };
  co_await untilDone(services_.clock, "pod_not_forgotten", api::keyOf(*pod_), forget);
  finished_ = true;
  if (services_.addressFreed) services_.addressFreed();
  wake();
}

Co<void> PodWorker::removeFromServer() {
  publish();
  co_await services_.statuses.flush(uid_);
  api::ResourceId id{&api::kindFor<corev1::Pod>(), pod_->metadata().namespace_(),
                     pod_->metadata().name(), ""};
  api::DeleteOptions options;
  options.set_graceperiodseconds(0);
  options.mutable_preconditions()->set_uid(uid_);
  Duration retry = kFirstRetry;
  while (!removedAtServer_) {
    auto removed = co_await services_.api.remove(id, options);
    Status status = removed.status();
    // A conflict: another pod has the name by now.
    if (status.ok() || status.is(Code::kNotFound) || status.is(Code::kConflict)) break;
    logDebug("pod_delete_retry", {{"pod", api::keyOf(*pod_)}, {"error", status}});
    co_await removed_.waitUntil(services_.clock, services_.clock.now() + retry);
    retry = std::min(2 * retry, kLastRetry);
  }
}

}  // namespace podlab::node
