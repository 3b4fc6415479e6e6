// What a PodWorker does, as opposed to when: each function is one operation that ends by waking the
// state machine.
#include <algorithm>
#include <csignal>
#include <utility>

#include "api/kinds.hpp"
#include "api/times.hpp"
#include "common/log.hpp"
#include "node/container_log_files.hpp"
#include "node/pod_container.hpp"
#include "node/stand_in.hpp"
#include "node/stop_signal.hpp"

namespace podlab::node {
namespace {

using client::EventClass;
using Phase = ContainerView::Phase;

/// Between tries to make the sandbox or the volumes: kubelet's period for pods whose sync failed.
constexpr Duration kSetUpRetry = std::chrono::seconds(10);
constexpr Duration kPullErrorShown = std::chrono::seconds(1);
/// As containerd and kubelet report a program that cannot be executed.
constexpr int kStartErrorExitCode = 128;

}  // namespace

void PodWorker::beginSetUp() {
  if (sandbox_ == Step::kTodo) {
    sandbox_ = Step::kBusy;
    spawn("sandbox", setUpSandbox());
  }
  // The files name the addresses; the rest goes side by side. What an earlier agent made is there
  // also when the server is not.
  if (storage_ == Step::kTodo && addressed_ && !storageBlocked_ &&
      (sandboxFound_ || (referencesKnown() && tokens_.known()))) {
    storage_ = Step::kBusy;
    spawn("storage", setUpStorage());
  }
}

void PodWorker::failSetUp(std::string_view what, const Status& status) {
  event(EventClass::kWarning, "FailedCreatePodSandBox",
        std::string(what) + ": " + status.message());
  logWarning("pod_set_up_failed", {{"pod", api::keyOf(*pod_)}, {"step", what}, {"error", status}});
  setUpNotBefore_ = services_.clock.now() + kSetUpRetry;
}

Co<void> PodWorker::setUpSandbox() {
  SandboxSpec spec;
  spec.podUid = uid_;
  spec.hostname = podHostname(*pod_, services_.nodeName);
  spec.hostNetwork = pod_->spec().hostnetwork();
  spec.hostIpc = pod_->spec().hostipc();
  if (spec.hostNetwork) {
    podIps_ = services_.hostIps;
  } else {
    auto addresses = co_await services_.addresses.allocate(uid_);
    if (!addresses.ok()) {
      sandbox_ = Step::kTodo;
      failSetUp("cannot give the pod an address", addresses.status());
      wake();
      co_return;
    }
    spec.addresses = *std::move(addresses);
    podIps_.clear();
    for (const auto& address : spec.addresses) podIps_.push_back(address.toString());
  }
  // From here on, a restarted agent must know of the pod.
  checkpoint();
  addressed_ = true;
  wake();

  if (!spec.hostNetwork) {
    services_.policies.add(*pod_, spec.addresses);
    // One that has a network already is under the rules of the time; a new one gets it after them.
    Status enforced = sandboxFound_ ? Status() : co_await services_.policies.enforced();
    if (!enforced.ok()) {
      sandbox_ = Step::kTodo;
      failSetUp("cannot enforce network policies", enforced);
      wake();
      co_return;
    }
  }
  auto namespaces = co_await services_.dataplane.createSandbox(std::move(spec));
  Status status = namespaces.status();
  if (status.ok() && pod_->spec().shareprocessnamespace()) {
    auto shared = co_await services_.runtime.createPidNamespace(uid_);
    status = shared.status();
    if (status.ok()) pidNamespace_ = *shared;
  }
  if (status.ok()) {
    namespaces_ = *namespaces;
    sandbox_ = Step::kDone;
  } else {
    sandbox_ = Step::kTodo;
    failSetUp("cannot create the sandbox", status);
  }
  wake();
}

EtcFiles PodWorker::etcFiles() const {
  auto hostFile = [this](const std::string& path) {
    return services_.files.readFile(path).valueOr("");
  };
  std::string hostname = podHostname(*pod_, services_.nodeName);
  bool host = pod_->spec().hostnetwork();
  return {
      {"hosts", hostsFile(*pod_, hostname, podIps_, host ? hostFile("/etc/hosts") : "",
                          services_.dns.domain)},
      {"hostname", hostname + "\n"},
      {"resolv.conf", resolvConf(*pod_, services_.dns, hostFile("/etc/resolv.conf"))},
  };
}

Co<void> PodWorker::resolveImage(Container& container) {
  std::string reference = container.spec->image();
  auto image = co_await services_.images.resolve(reference);
  container.busy = false;
  if (reference != container.spec->image()) {
    wake();
    co_return;
  }
  if (image.ok()) {
    container.image = std::make_unique<Image>(*std::move(image));
    container.pullBackoff.reset();
  } else {
    failImage(container, image.status());
  }
  wake();
}

/// With kubelet's reasons and words (pkg/kubelet/images/image_manager.go).
void PodWorker::failImage(Container& container, const Status& status) {
  const std::string quoted = "\"" + container.spec->image() + "\"";
  MonoTime now = services_.clock.now();
  container.pullBackoff.restarted();
  container.pullNotBefore = now + container.pullBackoff.current();
  container.pullErrorUntil = std::min(now + kPullErrorShown, container.pullNotBefore);
  container.pullError = status.message();
  std::string reason = "ErrImagePull";
  std::string message = status.message();
  if (status.is(Code::kInvalid)) {
    reason = "InvalidImageName";
    message = "Failed to apply default image tag " + quoted + ": " + status.message();
    event(container, EventClass::kWarning, "InspectFailed", message);
  } else if (container.spec->imagepullpolicy() == "Never") {
    reason = "ErrImageNeverPull";
    message = "Container image " + quoted + " is not present with pull policy of Never";
    event(container, EventClass::kWarning, reason, message);
  } else {
    event(container, EventClass::kWarning, "Failed",
          "Failed to pull image " + quoted + ": " + message);
  }
  event(container, EventClass::kWarning, "Failed", "Error: " + reason);
  container.view.phase = Phase::kWaiting;
  container.view.waitingReason = std::move(reason);
  container.view.waitingMessage = std::move(message);
}

void PodWorker::failConfig(Container& container, std::string_view reason, const Status& status) {
  if (container.configFailed) return;
  container.configFailed = true;
  container.view.phase = Phase::kWaiting;
  container.view.waitingReason = std::string(reason);
  container.view.waitingMessage = status.message();
  event(container, EventClass::kWarning, "Failed", "Error: " + status.message());
}

/// The users and groups that the container knows.
UserFiles PodWorker::userFiles(const Image& image) const {
  const auto read = [&](const std::string& file) {
    if (image.isHost) return services_.files.readFile(file).valueOr("");
    for (auto layer = image.layers.rbegin(); layer != image.layers.rend(); ++layer) {
      if (auto text = readInRoot(*layer, file)) return *text;
    }
    return readInRoot(image.rootfs, file).value_or("");
  };
  return {read("/etc/passwd"), read("/etc/group")};
}

PodEnvironment PodWorker::environment() const {
  PodEnvironment environment;
  environment.hostname = podHostname(*pod_, services_.nodeName);
  environment.hostIps = services_.hostIps;
  environment.podIps = podIps_;
  environment.apiServer = services_.apiServer;
  environment.allocatable = services_.allocatable;
  return environment;
}

/// The file in which the container can say why it ended.
Status PodWorker::addTerminationLog(const Container& container, std::vector<Mount>& mounts) {
  const auto& path = container.spec->terminationmessagepath();
  const bool taken =
      std::ranges::any_of(mounts, [&](const Mount& mount) { return mount.destination == path; });
  if (path.empty() || taken) return {};
  const auto file = folder_.terminationMessage(container.spec->name(), container.attempt);
  // Every user of the container may write.
  Status made = services_.files.writeFileAtomic(file, "", 0666, /*durable=*/false);
  if (!made.ok()) return Status(Code::kInternal, made.message());  // not the program's fault
  mounts.push_back({file, path, false});
  return {};
}

Co<Result<std::string>> PodWorker::pidNamespaceOf(std::string name) {
  const auto found = access(name);
  if (found && found->running) {
    auto status = co_await services_.runtime.status(found->id);
    if (!status.ok()) co_return status.status();
    if (status->pid > 0) co_return "/proc/" + std::to_string(status->pid) + "/ns/pid";
  }
  co_return Status(Code::kUnavailable,
                   "unable to find target container \"" + name + "\": it is not running");
}

Co<void> PodWorker::startContainer(Container& container) {
  Image image = std::move(*std::exchange(container.image, nullptr));
  corev1::Container changed;
  if (image.standIn) {
    changed = *container.spec;
    becomeStandIn(*pod_, container.init, changed);
  }
  const corev1::Container& own = image.standIn ? changed : *container.spec;
  auto program = buildProgram(*pod_, own, image, environment(), objectLookup());
  if (!program.ok()) {
    container.busy = false;
    container.image = std::make_unique<Image>(std::move(image));
    // What is not known, or missing, comes with a change.
    if (program.status().is(Code::kUnavailable)) {
      container.configFailed = true;
    } else {
      failConfig(container, "CreateContainerConfigError", program.status());
    }
    wake();
    co_return;
  }
  auto security = resolveSecurity(*pod_, own, image.user, userFiles(image));
  if (!security.ok()) {
    container.busy = false;
    container.image = std::make_unique<Image>(std::move(image));
    failConfig(container, "CreateContainerConfigError", security.status());
    wake();
    co_return;
  }
  auto mounts = co_await containerMounts(container, program->variables);
  if (!mounts.ok()) {
    container.busy = false;
    container.image = std::make_unique<Image>(std::move(image));
    failConfig(container, "CreateContainerConfigError", mounts.status());
    container.configFailed = false;
    container.notBefore = services_.clock.now() + kSetUpRetry;
    wake();
    co_return;
  }
  container.image.reset();
  container.outdated = false;
  container.started = false;
  if (container.view.ended) {
    container.view.previous = std::exchange(container.view.ended, std::nullopt);
    if (container.charged) container.backoff.restarted();
  }
  container.view.phase = Phase::kWaiting;
  container.view.waitingReason.clear();
  container.view.waitingMessage.clear();
  container.view.image = container.spec->image();
  container.view.imageId = image.id;
  ++container.attempt;
  const bool hook = container.spec->lifecycle().has_poststart();
  container.postStart = hook ? Step::kTodo : Step::kDone;
  container.preStop = Step::kTodo;
  initialized_ = initialized_ || (!container.init && !container.ephemeral);
  checkpoint();

  ContainerSpec spec;
  spec.id = containerId(container, container.attempt);
  spec.podUid = uid_;
  spec.name = container.spec->name();
  spec.argv = program->argv;
  spec.env = program->env;
  spec.workingDir = program->workingDir;
  const auto& ownSignal = container.spec->lifecycle().stopsignal();
  spec.stopSignal = stopSignalOf(ownSignal.empty() ? image.stopSignal : ownSignal);
  const bool standIn = image.standIn;
  spec.image = std::move(image);
  spec.namespaces = namespaces_;
  spec.pidNamespace = pidNamespace_;
  spec.hostPid = pod_->spec().hostpid();
  spec.mounts = *std::move(mounts);
  Status status = addTerminationLog(container, spec.mounts);
  spec.logPath = folder_.log(container.spec->name(), container.attempt);
  spec.tty = container.spec->tty();
  spec.stdin = container.spec->stdin();
  spec.security = *std::move(security);
  spec.limits = containerLimits(*container.spec);
  spec.podLimits = podLimits(*pod_, services_.podPidsLimit);
  spec.oomScoreAdjustment = oomScoreAdjustment(*pod_, *container.spec, services_.nodeMemory);
  if (!services_.limitsMissing.empty() && !container.spec->resources().limits().empty()) {
    event(container, EventClass::kWarning, "LimitsNotEnforced",
          "The node enforces no limits: " + services_.limitsMissing);
  }
  if (standIn) spec.mounts.push_back({services_.standInProgram, kStandInProgram, true});
  std::string id = spec.id;
  if (standIn) {
    event(container, EventClass::kWarning, "StandIn", standInMessage(*pod_, *container.spec));
  } else {
    event(container, EventClass::kNormal, "Pulled",
          "Container image \"" + container.spec->image() + "\" already present on machine");
  }
  if (status.ok() && !container.target.empty() && !spec.hostPid) {
    auto joined = co_await pidNamespaceOf(container.target);
    status = joined.status();
    if (status.ok()) spec.pidNamespace = *joined;
  }
  if (status.ok()) status = co_await services_.runtime.start(std::move(spec));
  if (status.ok()) {
    auto seen = co_await services_.runtime.status(id);
    if (seen.ok()) apply(container, *seen);
    container.busy = false;
    event(container, EventClass::kNormal, "Created", "Created container " + container.spec->name());
    event(container, EventClass::kNormal, "Started", "Started container " + container.spec->name());
    removeEarlier(container);
  } else if (status.is(Code::kNotFound) || status.is(Code::kForbidden)) {
    corev1::ContainerStateTerminated how;
    how.set_exitcode(kStartErrorExitCode);
    how.set_reason("StartError");
    how.set_message(status.message());
    how.set_containerid(externalId(id));
    *how.mutable_startedat() = api::toTime(WallTime());
    *how.mutable_finishedat() = api::toTime(services_.clock.wallNow());
    container.view.containerId = externalId(id);
    container.view.restartCount = container.attempt;
    event(container, EventClass::kWarning, "Failed", "Error: " + status.message());
    ended(container, std::move(how), Duration::zero());
    container.busy = false;
    removeEarlier(container);
  } else {
    // Not the program's fault: the same instance is tried again.
    container.view.waitingReason = "RunContainerError";
    container.view.waitingMessage = status.message();
    event(container, EventClass::kWarning, "Failed", "Error: " + status.message());
    container.backoff.restarted();
    container.notBefore = services_.clock.now() + container.backoff.current();
    co_await discardHalfBegun(container);
  }
  wake();
}

Co<void> PodWorker::discardHalfBegun(Container& container) {
  Status status = co_await services_.runtime.remove(containerId(container, container.attempt));
  // What cannot be removed keeps its number for itself.
  if (status.ok()) {
    --container.attempt;
  } else {
    logWarning("container_not_removed", {{"pod", api::keyOf(*pod_)}, {"error", status}});
  }
  container.busy = false;
  wake();
}

/// Of the instances before this one only the last one's log is kept.
void PodWorker::removeEarlier(Container& container) {
  if (container.attempt > 0) {
    container.leftovers.insert(containerId(container, container.attempt - 1));
    spawn("remove", removeLeftovers(container));
  }
  if (container.attempt > 0)
    (void)services_.files.removeFile(
        folder_.terminationMessage(container.spec->name(), container.attempt - 1));
  if (container.attempt > 1)
    (void)removeContainerLog(services_.files,
                             folder_.log(container.spec->name(), container.attempt - 2));
}

/// What cannot be removed is tried again with the next instance's start, and at the pod's end.
Co<void> PodWorker::removeLeftovers(Container& container) {
  const auto ids = container.leftovers;
  for (const auto& id : ids) {
    Status status = co_await services_.runtime.remove(id);
    if (status.ok()) {
      container.leftovers.erase(id);
    } else {
      logWarning("container_not_removed", {{"id", id}, {"error", status}});
    }
  }
}

Co<void> PodWorker::refresh(Container& container) {
  while (std::exchange(container.refreshAgain, false)) {
    std::string id = containerId(container, container.attempt);
    auto status = co_await services_.runtime.status(id);
    if (id != containerId(container, container.attempt)) continue;
    if (status.ok()) {
      apply(container, *status);
    } else if (status.status().is(Code::kNotFound) && container.running()) {
      lost(container);
    }
  }
  container.refreshing = false;
  wake();
}

}  // namespace podlab::node
