#include "node/pod_worker.hpp"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "api/conditions.hpp"
#include "api/support.hpp"
#include "api/times.hpp"
#include "common/log.hpp"
#include "node/pod_container.hpp"
#include "node/stored_images.hpp"

namespace podlab::node {
namespace {

using client::EventClass;
using Phase = ContainerView::Phase;

/// While containers start, a status may wait so long for the next one to come.
constexpr Duration kStatusDelay = std::chrono::milliseconds(100);
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
  for (const auto& spec : pod_->spec().initcontainers()) addContainer(spec, true);
  for (const auto& spec : pod_->spec().containers()) addContainer(spec, false);
  restore(remains);
  update(pod_);
}

PodWorker::~PodWorker() {
  services_.clock.cancel(timer_);
}

void PodWorker::addContainer(const corev1::Container& spec, bool init) {
  auto container = std::make_unique<Container>();
  container->spec = spec;
  container->init = init;
  container->view.name = spec.name();
  container->view.image = spec.image();
  container->view.probed = !init && spec.has_readinessprobe();
  containers_.push_back(std::move(container));
}

void PodWorker::restore(const PodRemains& remains) {
  const auto& record = remains.record;
  if (record.pod().has_status()) status_ = mergeStatus(status_, record.pod().status());
  if (api::isSet(status_.starttime())) startTime_ = api::toWallTime(status_.starttime());
  podIps_.assign(record.addresses().begin(), record.addresses().end());
  stopping_ = record.stopping();
  sandboxFound_ = remains.sandbox;
  addressed_ = !podIps_.empty();
  if (status_.reason() == kEvicted) eviction_ = status_.message();
  // Without a record, the server remembers the last report.
  std::map<std::string, records::ContainerRecord, std::less<>> known;
  for (const auto& status : status_.initcontainerstatuses())
    known[status.name()] = recordOf(status);
  for (const auto& status : status_.containerstatuses()) known[status.name()] = recordOf(status);
  for (const auto& saved : record.containers()) known[saved.name()] = saved;
  bool begun = false;
  for (auto& container : containers_) {
    restoreContainer(*container, known[container->spec.name()], remains.containers);
    begun = begun || container->attempt >= 0;
  }
  inert_ = !begun && api::isFinished(*pod_);
  if (remains.sandbox || pod_->spec().hostnetwork() || !begun) return;
  auto phase = podPhase(pod_->spec(), view());
  if (phase == "Succeeded" || phase == "Failed") return;
  // The sandbox is gone, as after a reboot: the pod begins anew in another one, init containers
  // included.
  for (auto& container : containers_) {
    container->outdated = container->running();
    if (!container->init || !container->succeeded()) continue;
    container->view.phase = Phase::kWaiting;
    container->view.previous = std::exchange(container->view.ended, std::nullopt);
  }
}

records::ContainerRecord PodWorker::recordOf(const corev1::ContainerStatus& status) {
  records::ContainerRecord record;
  record.set_name(status.name());
  if (status.containerid().empty()) return record;
  record.set_attempt(status.restartcount());
  record.set_restartcount(status.restartcount());
  record.set_started(true);
  record.set_image(status.image());
  record.set_imageid(status.imageid());
  if (status.state().has_terminated()) {
    *record.mutable_ended() = status.state().terminated();
    if (status.laststate().has_terminated())
      *record.mutable_previous() = status.laststate().terminated();
  } else if (status.state().has_waiting() && status.laststate().has_terminated()) {
    *record.mutable_ended() = status.laststate().terminated();
  } else if (status.laststate().has_terminated()) {
    *record.mutable_previous() = status.laststate().terminated();
  }
  return record;
}

void PodWorker::restoreContainer(Container& container, const records::ContainerRecord& record,
                                 const std::vector<ContainerStatus>& found) {
  if (record.has_attempt()) {
    container.attempt = record.attempt();
    container.started = record.started();
    container.view.restartCount = record.restartcount();
    container.view.image = record.image();
    container.view.imageId = record.imageid();
    container.backoff = RestartBackoff(Duration(record.backoffnanos()));
    if (record.has_previous()) container.view.previous = record.previous();
  }
  const ContainerStatus* latest = nullptr;
  for (const auto& status : found) {
    if (status.name != container.spec.name()) continue;
    int attempt = std::atoi(status.id.substr(status.id.rfind('_') + 1).c_str());
    if (attempt >= container.attempt) {
      // A newer instance than the record's is one whose beginning could not be recorded.
      if (attempt > container.attempt && record.has_ended())
        container.view.previous = record.ended();
      if (attempt > container.attempt) container.started = false;
      container.attempt = attempt;
      latest = &status;
    }
  }
  for (const auto& status : found) {
    if (status.name == container.spec.name() && &status != latest)
      container.leftovers.insert(status.id);
  }
  if (!container.leftovers.empty()) spawn("remove", removeLeftovers(container));
  if (container.attempt < 0) return;
  if (container.started)
    container.view.containerId = externalId(containerId(container, container.attempt));
  for (const auto& before : status_.containerstatuses()) {
    if (before.name() == container.spec.name()) container.probe = ProbeResult(before.ready());
  }
  if (record.has_ended() && record.attempt() == container.attempt) {
    ended(container, record.ended(), Duration::zero());
  } else if (latest != nullptr && latest->state == ContainerState::kCreated) {
    container.busy = true;
    spawn("discard", discardHalfBegun(container));
  } else if (latest != nullptr) {
    apply(container, *latest);
  } else if (container.started) {
    lost(container);
  } else {
    --container.attempt;  // announced, but never begun
  }
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

  refusal_.clear();
  for (const auto& cause : api::unsupportedByNode(*pod_)) {
    refusal_ += (refusal_.empty() ? "" : "; ") + cause.field + ": " + cause.message;
  }
  if (pod_->metadata().has_deletiontimestamp()) {
    stopping_ = true;
    auto deadline =
        services_.clock.now() + std::chrono::seconds(pod_->metadata().deletiongraceperiodseconds());
    stopDeadline_ = stopDeadline_ ? std::min(*stopDeadline_, deadline) : deadline;
  }
  // What a pod refers to does not change.
  if (!inert_ && !stopping_ && !std::exchange(referencesHeld_, true)) holdReferences();
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
  if (metadata.has_deletiongraceperiodseconds())
    return std::chrono::seconds(metadata.deletiongraceperiodseconds());
  if (!pod_->spec().has_terminationgraceperiodseconds()) return std::chrono::seconds(30);
  return std::chrono::seconds(pod_->spec().terminationgraceperiodseconds());
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
  if (inert_) return;
  syncReferences();
  if (eviction_) {
    syncEviction();
    return;
  }
  auto phase = podPhase(pod_->spec(), view());
  if (phase == "Succeeded" || phase == "Failed" || tearingDown_ || tornDown_) {
    if (tearingDown_ || tornDown_) return;
    tearingDown_ = true;
    spawn("tear down", tearDownFinished());
    return;
  }
  if (const std::string forbidden = forbiddenSysctl(*pod_); !forbidden.empty()) {
    for (auto& container : containers_)
      failConfig(*container, "SysctlForbidden", Status(Code::kForbidden, forbidden));
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

void PodWorker::syncRunning() {
  if (services_.networkUp && (sandbox_ == Step::kTodo || storage_ == Step::kTodo)) {
    if (services_.clock.now() >= setUpNotBefore_) {
      beginSetUp();
    } else {
      wakeAt(setUpNotBefore_);
    }
  }
  syncVolumes();
  bool initDone = true;
  for (auto& container : containers_) {
    if (container->init) {
      if (!initDone || container->succeeded()) continue;
      initDone = false;
      syncContainer(*container);
    } else if (initDone || container->running()) {
      syncContainer(*container);
    }
  }
}

bool PodWorker::shouldRestart(const Container& container) const {
  if (!container.view.ended) return true;
  if (container.outdated || !isSameImage(container.view.image, container.spec.image())) return true;
  const auto& policy = pod_->spec().restartpolicy();
  if (policy == "Never") return false;
  return container.view.ended->exitcode() != 0 || (policy != "OnFailure" && !container.init);
}

void PodWorker::syncContainer(Container& container) {
  MonoTime now = services_.clock.now();
  if (container.running()) {
    if (!container.outdated) {
      syncProbe(container);
    } else {
      if (!container.killAt) {
        event(container, EventClass::kNormal, "Killing",
              "Container " + container.spec.name() + " definition changed, will be restarted");
      }
      driveStop(container, container.killAt.value_or(now + gracePeriod()));
    }
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

void PodWorker::syncProbe(Container& container) {
  if (!container.view.probed || container.probing) return;
  if (services_.clock.now() < container.nextProbe) {
    wakeAt(container.nextProbe);
    return;
  }
  container.probing = true;
  spawn("probe", runProbe(container, containerId(container, container.attempt)));
}

void PodWorker::syncStop() {
  bool pending = sandbox_ == Step::kBusy || storage_ == Step::kBusy || tearingDown_;
  for (auto& container : containers_) {
    if (container->busy) {
      pending = true;
    } else if (container->running()) {
      pending = true;
      if (!container->terminated) {
        event(*container, EventClass::kNormal, "Killing",
              "Stopping container " + container->spec.name());
      }
      if (!stopDeadline_) stopDeadline_ = services_.clock.now() + gracePeriod();
      driveStop(*container, *stopDeadline_);
    }
  }
  if (pending || finishing_) return;
  finishing_ = true;
  spawn("finish", finish());
}

void PodWorker::evict(std::string message) {
  event(EventClass::kWarning, kEvicted, message);
  eviction_ = std::move(message);
  wake();
}

void PodWorker::syncEviction() {
  if (tearingDown_ || tornDown_) return;
  bool pending = sandbox_ == Step::kBusy || storage_ == Step::kBusy;
  for (auto& container : containers_) {
    pending = pending || container->busy || container->running();
    if (container->running() && !container->busy)
      driveStop(*container, services_.clock.now() + kEvictionGrace);
  }
  if (pending) return;
  tearingDown_ = true;
  spawn("tear down", tearDownFinished());
}

void PodWorker::driveStop(Container& container, MonoTime deadline) {
  container.killAt = container.killAt ? std::min(*container.killAt, deadline) : deadline;
  MonoTime now = services_.clock.now();
  MonoTime killAt = std::max(*container.killAt, container.killNotBefore);
  bool due = now >= killAt;
  if (!due) wakeAt(killAt);
  bool& sent = due ? container.killed : container.terminated;
  if (sent) return;
  sent = true;
  container.terminated = true;
  spawn("kill", kill(container, containerId(container, container.attempt),
                     due ? SIGKILL : container.stopSignal));
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
    container.nextProbe =
        services_.clock.now() +
        std::chrono::seconds(container.spec.readinessprobe().initialdelayseconds());
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
  ended(container, std::move(how), finished - began);
}

void PodWorker::ended(Container& container, corev1::ContainerStateTerminated how, Duration ran) {
  container.started = true;
  container.view.phase = Phase::kTerminated;
  container.view.startedAt.reset();
  container.probe = ProbeResult();
  container.killAt.reset();
  container.terminated = container.killed = false;
  container.image.reset();
  container.backoff.ended(ran);
  // What is stopped to be replaced did not crash.
  Duration delay = container.outdated ? Duration::zero() : container.backoff.current();
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
  view.final = stopping_;
  view.eviction = eviction_.value_or("");
  for (const auto& container : containers_) {
    auto& list = container->init ? view.initContainers : view.containers;
    list.push_back(container->view);
    list.back().probeSucceeded = container->probe.ready();
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

void PodWorker::checkpoint() {
  records::PodRecord record;
  *record.mutable_pod() = *pod_;
  *record.mutable_pod()->mutable_status() = status_;
  // The server's, and another after each write of the status.
  record.mutable_pod()->mutable_metadata()->clear_resourceversion();
  record.set_stopping(stopping_);
  for (const auto& ip : podIps_) record.add_addresses(ip);
  for (const auto& container : containers_) {
    auto& saved = *record.add_containers();
    saved.set_name(container->spec.name());
    if (container->attempt < 0) continue;
    saved.set_attempt(container->attempt);
    saved.set_started(container->started);
    saved.set_restartcount(container->view.restartCount);
    saved.set_image(container->view.image);
    saved.set_imageid(container->view.imageId);
    saved.set_backoffnanos(container->backoff.current().count());
    if (container->view.ended) *saved.mutable_ended() = *container->view.ended;
    if (container->view.previous) *saved.mutable_previous() = *container->view.previous;
  }
  std::string content = record.SerializeAsString();
  if (content == savedRecord_) return;
  Status status = services_.checkpoints.savePod(record);
  if (status.ok()) {
    savedRecord_ = std::move(content);
  } else {
    logError("record_not_written", {{"pod", api::keyOf(*pod_)}, {"error", status}});
  }
}

std::string PodWorker::containerId(const Container& container, int attempt) const {
  return uid_ + "_" + container.spec.name() + "_" + std::to_string(attempt);
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
  std::string path = std::string(container.init ? "spec.initContainers{" : "spec.containers{") +
                     container.spec.name() + "}";
  services_.events.record(*pod_, path, type, reason, std::move(message));
}

}  // namespace podlab::node
