#include "node/pod_worker.hpp"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <utility>

#include "api/conditions.hpp"
#include "api/support.hpp"
#include "api/times.hpp"
#include "common/log.hpp"
#include "node/container_id.hpp"
#include "node/pod_container.hpp"
#include "node/stored_images.hpp"
#include "node/termination_message.hpp"

namespace podlab::node {
namespace {

using client::EventClass;
using Phase = ContainerView::Phase;

/// While containers start, a status may wait so long for the next one to come.
constexpr Duration kStatusDelay = std::chrono::milliseconds(100);
/// As kubelet's default for terminationGracePeriodSeconds.
constexpr std::int64_t kGraceSeconds = 30;
constexpr int kKilledExitCode = 128 + SIGKILL;
/// What kubelet gives the containers of a pod that has used too much.
constexpr Duration kEvictionGrace = std::chrono::seconds(1);

/// In what downward API volumes show, and may change.
bool differInMetadata(const corev1::Pod& a, const corev1::Pod& b) {
  const auto same = [](const auto& x, const auto& y) {
    return x.size() == y.size() && std::ranges::all_of(x, [&y](const auto& entry) {
             const auto other = y.find(entry.first);
             return other != y.end() && other->second == entry.second;
           });
  };
  return !same(a.metadata().labels(), b.metadata().labels()) ||
         !same(a.metadata().annotations(), b.metadata().annotations());
}

}  // namespace

PodWorker::PodWorker(PodServices& services, std::shared_ptr<const corev1::Pod> pod,
                     const PodRemains& remains)
    : services_(services),
      uid_(pod->metadata().uid()),
      pod_(std::move(pod)),
      folder_(services.stateFolder, uid_),
      status_(pod_->status()),
      startTime_(services.clock.wallNow()),
      operations_(services.executor) {
  for (const auto& spec : pod_->spec().initcontainers()) addContainer(spec, Role::kInit);
  for (const auto& spec : pod_->spec().containers()) addContainer(spec, Role::kMain);
  addEphemeralContainers();
  restore(remains);
  update(pod_);
}

PodWorker::~PodWorker() {
  services_.clock.cancel(timer_);
}

Co<void> PodWorker::run() {
  while (!finished_) {
    dirty_ = false;
    nextWake_.reset();
    sync();
    publish();
    services_.clock.cancel(std::exchange(timer_, 0));
    if (nextWake_) timer_ = services_.clock.schedule(*nextWake_, [this] { wake(); });
    while (!dirty_) co_await changed_.wait();
  }
  co_await operations_.join();
}

Co<void> PodWorker::stop() {
  services_.clock.cancel(std::exchange(timer_, 0));
  co_await operations_.cancelAndJoin();
}

void PodWorker::retrySetUp() {
  if (tornDown_ || (sandbox_ == Step::kDone && storage_ == Step::kDone)) return;
  setUpNotBefore_ = {};
  wake();
}

void PodWorker::wake() {
  dirty_ = true;
  changed_.notifyAll();
}

void PodWorker::wakeAt(MonoTime at) {
  nextWake_ = nextWake_ ? std::min(*nextWake_, at) : at;
}

void PodWorker::spawn(std::string_view what, Co<void> task) {
  operations_.spawn(std::string(what) + " " + uid_, std::move(task));
}

void PodWorker::update(std::shared_ptr<const corev1::Pod> pod) {
  volumesStale_ = volumesStale_ || differInMetadata(*pod_, *pod);
  pod_ = std::move(pod);
  status_ = mergeStatus(pod_->status(), status_);
  auto take = [this](const auto& specs) {
    for (const auto& spec : specs) {
      for (auto& container : containers_) {
        if (container->spec.name() != spec.name()) continue;
        if (container->spec.image() != spec.image()) {
          container->image.reset();
          container->pullBackoff.reset();
          container->pullNotBefore = {};
        }
        container->spec = spec;
        container->configFailed = false;
        container->outdated =
            container->outdated ||
            (container->running() && !isSameImage(container->view.image, spec.image()));
      }
    }
  };
  take(pod_->spec().initcontainers());
  take(pod_->spec().containers());
  addEphemeralContainers();

  refusal_.clear();
  for (const auto& cause : api::unsupportedByNode(*pod_)) {
    refusal_ += (refusal_.empty() ? "" : "; ") + cause.field + ": " + cause.message;
  }
  if (pod_->metadata().has_deletiontimestamp()) {
    stopping_ = true;
    auto deadline = services_.clock.now() + gracePeriod();
    stopDeadline_ = stopDeadline_ ? std::min(*stopDeadline_, deadline) : deadline;
  }
  if (!inert_ && !stopping_ && !over_) holdReferences();
  wake();
}

void PodWorker::removedAtServer(const corev1::Pod* last) {
  if (removedAtServer_) return;
  if (last != nullptr) pod_ = std::make_shared<const corev1::Pod>(*last);
  removedAtServer_ = true;
  stopping_ = true;
  auto deadline = services_.clock.now() + gracePeriod();
  stopDeadline_ = stopDeadline_ ? std::min(*stopDeadline_, deadline) : deadline;
  removed_.notifyAll();
  wake();
}

Duration PodWorker::gracePeriod() const {
  const auto& metadata = pod_->metadata();
  std::int64_t seconds = kGraceSeconds;
  if (metadata.has_deletiongraceperiodseconds()) {
    seconds = metadata.deletiongraceperiodseconds();
  } else if (pod_->spec().has_terminationgraceperiodseconds()) {
    seconds = pod_->spec().terminationgraceperiodseconds();
  }
  return std::chrono::seconds(std::max<std::int64_t>(1, seconds));
}

void PodWorker::containerChanged(const std::string& id) {
  for (auto& container : containers_) {
    if (container->attempt < 0 || containerId(*container, container->attempt) != id) continue;
    container->refreshAgain = true;
    if (container->refreshing) return;
    container->refreshing = true;
    spawn("refresh", refresh(*container));
  }
}

void PodWorker::sync() {
  if (stopping_) {
    syncStop();
    return;
  }
  if (inert_ || tearingDown_ || tornDown_) return;
  syncReferences();
  checkAdmission();
  checkDeadline();
  if (isOver()) {
    const bool settingUp = sandbox_ == Step::kBusy || storage_ == Step::kBusy;
    if (stopContainers() || settingUp) return;
    tearingDown_ = true;
    spawn("tear down", tearDownFinished());
    return;
  }
  if (!refusal_.empty()) {
    Status refused(Code::kInvalid, "this node cannot run the pod: " + refusal_);
    for (auto& container : containers_)
      failConfig(*container, "CreateContainerConfigError", refused);
    return;
  }
  syncRunning();
}

/// What kubelet would not admit fails at once (pkg/kubelet/sysctl/allowlist.go).
void PodWorker::checkAdmission() {
  if (failure_ || over_) return;
  const std::string forbidden = forbiddenSysctl(*pod_);
  if (forbidden.empty()) return;
  failure_ = PodFailure{"SysctlForbidden", "Pod was rejected: " + forbidden, /*rejected=*/true};
  event(EventClass::kWarning, failure_->reason, forbidden);
}

/// kubelet pkg/kubelet/active_deadline.go.
void PodWorker::checkDeadline() {
  if (!pod_->spec().has_activedeadlineseconds() || over_ || failure_) return;
  const Duration left = startTime_ + std::chrono::seconds(pod_->spec().activedeadlineseconds()) -
                        services_.clock.wallNow();
  if (left > Duration::zero()) {
    wakeAt(services_.clock.now() + left);
    return;
  }
  if (isOver()) return;
  failure_ = PodFailure{"DeadlineExceeded",
                        "Pod was active on the node longer than the specified deadline"};
  event(EventClass::kNormal, failure_->reason, failure_->message);
}

/// Whether no container will be started any more: the pod has failed, or all that it is made for
/// has ended. What only serves or watches the others does not keep it alive.
bool PodWorker::isOver() {
  if (over_) return true;
  const auto phase = podPhase(pod_->spec(), view());
  over_ = failure_ || phase == "Succeeded" || phase == "Failed";
  if (over_ || !initialized_) return over_;
  over_ = std::ranges::all_of(containers_, [this](const auto& container) {
    if (container->init || container->ephemeral) return true;
    return !container->running() && !container->busy && !shouldRestart(*container);
  });
  return over_;
}

void PodWorker::evict(std::string message) {
  event(EventClass::kWarning, kEvicted, message);
  failure_ = PodFailure{kEvicted, std::move(message)};
  const auto deadline = services_.clock.now() + kEvictionGrace;
  stopDeadline_ = stopDeadline_ ? std::min(*stopDeadline_, deadline) : deadline;
  wake();
}

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
    if (main && container->spec.lifecycle().has_poststart())
      open = open && !container->busy && container->postStart == Step::kDone;
  }
}

bool PodWorker::shouldRestart(const Container& container) const {
  if (!container.view.ended) return true;
  if (container.ephemeral) return false;
  if (container.sidecar || container.outdated ||
      !isSameImage(container.view.image, container.spec.image()))
    return true;
  const auto& policy = pod_->spec().restartpolicy();
  if (policy == "Never") return false;
  return container.view.ended->exitcode() != 0 || (policy != "OnFailure" && !container.init);
}

void PodWorker::syncContainer(Container& container) {
  MonoTime now = services_.clock.now();
  if (container.running()) {
    if (container.outdated && !container.stopAt) {
      stopContainer(container,
                    "Container " + container.spec.name() + " definition changed, will be restarted",
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
                                      " restarting failed container=" + container.spec.name() +
                                      " pod=" + pod;
      event(container, EventClass::kWarning, "BackOff",
            "Back-off restarting failed container " + container.spec.name() + " in pod " + pod);
    }
    wakeAt(container.notBefore);
    return;
  }
  if (!container.image) {
    if (now < container.pullNotBefore) {
      if (now >= container.pullErrorUntil && container.view.waitingReason == "ErrImagePull") {
        container.view.waitingReason = "ImagePullBackOff";
        container.view.waitingMessage =
            "Back-off pulling image \"" + container.spec.image() + "\": " + container.pullError;
        event(container, EventClass::kNormal, "BackOff",
              "Back-off pulling image \"" + container.spec.image() + "\"");
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
  const auto& name = container.spec.name();
  std::string message = terminationMessage(services_.files, container.spec, how.exitcode(),
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

PodView PodWorker::view() const {
  PodView view;
  view.sandboxReady = sandbox_ == Step::kDone || sandboxFound_;
  view.podIps = podIps_;
  view.hostIps = services_.hostIps;
  view.startTime = startTime_;
  view.final = stopping_ || over_;
  view.initialized = initialized_;
  view.failure = failure_;
  for (const auto& container : containers_) {
    auto& list = container->init        ? view.initContainers
                 : container->ephemeral ? view.ephemeralContainers
                                        : view.containers;
    auto& added = list.emplace_back(container->view);
    added.postStart = container->running() && container->postStart != Step::kDone;
    added.started = container->isUp();
    added.ready = added.started && container->passes(ProbeKind::kReadiness);
    // An agent that has just come back waits for what is still running to be seen.
    if (container->running()) view.final = false;
  }
  return view;
}

void PodWorker::publish() {
  if (inert_) return;
  auto status = computeStatus(*pod_, view(), status_, services_.clock.wallNow());
  bool busy =
      sandbox_ == Step::kBusy || storage_ == Step::kBusy ||
      std::ranges::any_of(containers_, [](const auto& container) { return container->busy; });
  // Compared with the server's: a write that it lost, or never got, is made up for.
  bool changed = !google::protobuf::util::MessageDifferencer::Equals(status, pod_->status());
  bool fresh = !google::protobuf::util::MessageDifferencer::Equals(status, status_);
  status_ = std::move(status);
  if (changed || fresh)
    services_.statuses.set(uid_, status_, busy ? kStatusDelay : Duration::zero());
  // What is begun has its record before; its steps need none, for a restarted agent looks itself.
  if (!finished_ && !busy) checkpoint();
}

std::string PodWorker::containerId(const Container& container, int attempt) const {
  return ContainerId{uid_, container.spec.name(), attempt}.toString();
}

std::optional<PodWorker::ContainerAccess> PodWorker::access(std::string_view name) const {
  for (const auto& container : containers_) {
    if (container->spec.name() != name) continue;
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

void PodWorker::event(EventClass type, std::string_view reason, std::string message) {
  services_.events.record(*pod_, type, reason, std::move(message));
}

void PodWorker::event(const Container& container, EventClass type, std::string_view reason,
                      std::string message) {
  const char* list = container.init        ? "spec.initContainers{"
                     : container.ephemeral ? "spec.ephemeralContainers{"
                                           : "spec.containers{";
  const std::string path = list + container.spec.name() + "}";
  services_.events.record(*pod_, path, type, reason, std::move(message));
}

}  // namespace podlab::node
