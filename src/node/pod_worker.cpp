#include "node/pod_worker.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "api/arena_object.hpp"
#include "api/codec_wire.hpp"
#include "api/conditions.hpp"
#include "api/selectors.hpp"
#include "api/support.hpp"
#include "api/times.hpp"
#include "common/log.hpp"
#include "node/pod_container.hpp"
#include "node/stored_images.hpp"

namespace podlab::node {
namespace {

using client::EventClass;

/// While containers start, a status may wait so long for the next one to come.
constexpr Duration kStatusDelay = std::chrono::milliseconds(100);
/// As kubelet's default for terminationGracePeriodSeconds.
constexpr std::int64_t kGraceSeconds = 30;
/// What kubelet gives the containers of a pod that has used too much.
constexpr Duration kEvictionGrace = std::chrono::seconds(1);

/// In what downward API volumes show, and may change.
bool differInMetadata(const corev1::Pod& a, const corev1::Pod& b) {
  return !api::sameLabels(a.metadata().labels(), b.metadata().labels()) ||
         !api::sameLabels(a.metadata().annotations(), b.metadata().annotations());
}

}  // namespace

PodWorker::PodWorker(PodServices& services, const std::shared_ptr<const corev1::Pod>& pod,
                     const PodRemains& remains)
    : services_(services),
      uid_(pod->metadata().uid()),
      pod_(pod),
      folder_(services.stateFolder, uid_),
      status_(pod_->status()),
      startTime_(services.clock.wallNow()),
      tokens_(services.api, services.clock, services.executor),
      operations_(services.executor) {
  addContainers();
  restore(remains);
  generation_ = pod_->metadata().generation();
  markOutdated();
  if (!remains.accepted) judgeSpec();
  proceed();
}

PodWorker::~PodWorker() {
  services_.clock.cancel(timer_);
}

Co<void> PodWorker::run() {
  // What has just begun mostly ends at once.
  if (operating_ > 0) co_await giveWay();
  while (!finished_ && !isSettled()) {
    dirty_ = false;
    nextWake_.reset();
    sync();
    if (isStatusDue()) publish();
    // What is begun has its record before; its steps need none, for a restarted agent looks itself.
    if (!inert_ && !finished_ && !isBusy()) checkpoint();
    services_.clock.cancel(std::exchange(timer_, 0));
    if (nextWake_) timer_ = services_.clock.schedule(*nextWake_, [this] { wake(); });
    if (operating_ == 0) rest();
    while (!dirty_ && !isSettled()) co_await changed_.wait();
    // Something may come while the last operation unwinds.
    if (isSettled()) co_await operations_.join();
  }
  co_await tokens_.stop();
  co_await operations_.join();
}

Co<void> PodWorker::stop() {
  services_.clock.cancel(std::exchange(timer_, 0));
  co_await tokens_.stop();
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
  ++operating_;
  operations_.spawn(std::string(what) + " " + uid_, operate(std::move(task)));
}

Co<void> PodWorker::operate(Co<void> task) {
  co_await std::move(task);
  if (--operating_ == 0 && !dirty_) rest();
}

/// Most pods do nothing most of the time, and there are many: nobody holds on to what is decoded.
void PodWorker::rest() {
  pod_.rest();
  status_.rest();
  if (isSettled()) changed_.notifyAll();
}

void PodWorker::update(std::shared_ptr<const corev1::Pod> pod) {
  const bool metadataMoved = differInMetadata(*pod_, *pod);
  const std::int64_t generation = pod->metadata().generation();
  const bool specMoved = generation == 0 || generation != std::exchange(generation_, generation);
  // The server's answer to this worker's own status: nothing to do.
  const bool isEcho = !metadataMoved && !specMoved && !pod->metadata().has_deletiontimestamp() &&
                      isAtServer(api::Packed::of(pod));
  if (specMoved) forgetImages(*pod);
  pod_ = std::move(pod);
  if (isEcho) {
    reported_ = true;
    if (operating_ == 0 && !dirty_) rest();
    return;
  }
  takeOver(pod_->status(), *status_);
  volumesStale_ = volumesStale_ || metadataMoved;
  for (auto& container : containers_) container->configFailed = false;
  if (specMoved) {
    markOutdated();
    addEphemeralContainers();
    judgeSpec();
  }
  proceed();
}

/// Begins what the pod, as it is now, asks for.
void PodWorker::proceed() {
  if (pod_->metadata().has_deletiontimestamp()) {
    stopping_ = true;
    auto deadline = services_.clock.now() + gracePeriod();
    stopDeadline_ = stopDeadline_ ? std::min(*stopDeadline_, deadline) : deadline;
  }
  if (!inert_ && !stopping_ && !over_) holdReferences();
  wake();
}

/// Those that are others in the pod's next state.
void PodWorker::forgetImages(const corev1::Pod& next) {
  for (auto& container : containers_) {
    if (container->spec->image() == container->spec.in(next).image()) continue;
    container->image.reset();
    container->pullBackoff.reset();
    container->pullNotBefore = {};
  }
}

/// Those that run with an image that is no longer theirs.
void PodWorker::markOutdated() {
  for (auto& container : containers_) {
    if (container->ephemeral) continue;
    container->outdated =
        container->outdated ||
        (container->running() && !isSameImage(container->view.image, container->spec->image()));
  }
}

/// Whether this node can run the pod.
void PodWorker::judgeSpec() {
  refusal_.clear();
  for (const auto& cause : api::unsupportedByNode(*pod_)) {
    refusal_ += (refusal_.empty() ? "" : "; ") + cause.field + ": " + cause.message;
  }
}

void PodWorker::removedAtServer(std::shared_ptr<const corev1::Pod> last) {
  if (removedAtServer_) return;
  if (last != nullptr) pod_ = std::move(last);
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
    // A start that is on its way may still succeed.
    if (container->running() || container->busy) view.final = false;
  }
  return view;
}

/// Whether the server's pod has this worker's status.
bool PodWorker::isAtServer(const api::PackedPtr& pod) {
  return api::codec::fieldIn(pod->value(), corev1::Pod::kStatusFieldNumber) ==
         status_.share()->value();
}

bool PodWorker::isBusy() const {
  return sandbox_ == Step::kBusy || storage_ == Step::kBusy ||
         std::ranges::any_of(containers_, [](const auto& container) { return container->busy; });
}

/// What is about to change waits for that a moment: the end of a pod for its sandbox's.
bool PodWorker::isStatusDue() {
  const MonoTime now = services_.clock.now();
  if (!isBusy() && !tearingDown_) statusDue_ = now;
  if (!statusDue_) statusDue_ = now + kStatusDelay;
  if (now < *statusDue_) {
    wakeAt(*statusDue_);
    return false;
  }
  statusDue_.reset();
  return true;
}

void PodWorker::publish() {
  if (inert_) return;
  const auto updated = api::copyOf(*status_);
  updateStatus(static_cast<corev1::PodStatus&>(*updated), *pod_, view(), services_.clock.wallNow());
  api::Dormant<corev1::PodStatus> status(api::share<corev1::PodStatus>(updated));
  // Compared with the server's: a write that it lost, or never got, is made up for.
  const bool fresh = !status.isSame(status_);
  status_ = std::move(status);
  reported_ = isAtServer(pod_.share());
  if (!reported_ || fresh) services_.statuses.set(uid_, status_.share());
}

void PodWorker::event(EventClass type, std::string_view reason, std::string message) {
  services_.events.record(*pod_, type, reason, std::move(message));
}

void PodWorker::event(const Container& container, EventClass type, std::string_view reason,
                      std::string message) {
  const char* list = container.init        ? "spec.initContainers{"
                     : container.ephemeral ? "spec.ephemeralContainers{"
                                           : "spec.containers{";
  const std::string path = list + container.spec->name() + "}";
  services_.events.record(*pod_, path, type, reason, std::move(message));
}

}  // namespace podlab::node
