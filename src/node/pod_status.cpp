#include "node/pod_status.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "api/conditions.hpp"
#include "api/times.hpp"
#include "node/stored_images.hpp"

namespace podlab::node {
namespace {

using Phase = ContainerView::Phase;

constexpr std::string_view kStandInCondition = "podlab.io/StandIn";
constexpr std::array<std::string_view, 7> kOwnConditions{
    "PodReadyToStartContainers", "Initialized",    "Ready", "ContainersReady", "PodScheduled",
    "DisruptionTarget",          kStandInCondition};

bool isOwn(const corev1::PodCondition& condition) {
  return std::ranges::find(kOwnConditions, condition.type()) != kOwnConditions.end();
}

bool succeeded(const ContainerView& container) {
  return container.phase == Phase::kTerminated && container.ended->exitcode() == 0;
}

bool isRunning(const ContainerView& container) {
  return container.phase == Phase::kRunning && !container.postStart;
}

bool isReady(const ContainerView& container, bool init) {
  if (init && !container.sidecar) return succeeded(container);
  return isRunning(container) && container.ready;
}

bool isStarted(const ContainerView& container) {
  return isRunning(container) && container.started;
}

void fillContainerStatus(corev1::ContainerStatus& out, const ContainerView& in, bool init,
                         std::string_view defaultReason) {
  out.set_name(in.name);
  // As container runtimes do, once there is a container.
  out.set_image(in.containerId.empty() ? in.image : imageDisplayName(in.image));
  out.set_imageid(in.imageId);
  if (!in.containerId.empty()) out.set_containerid(in.containerId);
  out.set_restartcount(in.restartCount);
  out.set_ready(isReady(in, init));
  out.set_started(isStarted(in));
  if (!in.stopSignal.empty() && !in.containerId.empty()) out.set_stopsignal(in.stopSignal);
  auto& state = *out.mutable_state();
  auto& last = *out.mutable_laststate();
  if (in.phase == Phase::kTerminated) {
    *state.mutable_terminated() = *in.ended;
    if (in.previous) *last.mutable_terminated() = *in.previous;
  } else if (isRunning(in)) {
    *state.mutable_running()->mutable_startedat() = api::toTime(in.startedAt.value_or(WallTime()));
    if (in.previous) *last.mutable_terminated() = *in.previous;
  } else {
    state.mutable_waiting()->set_reason(in.waitingReason.empty() ? std::string(defaultReason)
                                                                 : in.waitingReason);
    if (!in.waitingMessage.empty()) state.mutable_waiting()->set_message(in.waitingMessage);
    if (in.ended || in.previous) *last.mutable_terminated() = in.ended ? *in.ended : *in.previous;
  }
}

/// The init container has done its part: the next may begin.
bool isInitDone(const ContainerView& container) {
  return container.sidecar ? isStarted(container) : succeeded(container);
}

std::string nameList(std::string_view what, const std::vector<std::string>& names) {
  std::string out = "containers with " + std::string(what) + " status: [";
  for (std::size_t i = 0; i < names.size(); ++i) out += (i > 0 ? " " : "") + names[i];
  return out + "]";
}

api::ConditionState condition(std::string_view type, bool holds, std::string_view reason = {},
                              std::string message = {}) {
  return {std::string(type), holds ? "True" : "False", std::string(reason), std::move(message)};
}

api::ConditionState initialized(const PodView& view, std::string_view phase) {
  if (phase == "Succeeded") return condition("Initialized", true, "PodCompleted");
  std::vector<std::string> incomplete;
  for (const auto& container : view.initContainers) {
    if (!isInitDone(container)) incomplete.push_back(container.name);
  }
  // A sidecar that starts again does not take a pod back to its beginning.
  if (incomplete.empty() || view.initialized) return condition("Initialized", true);
  return condition("Initialized", false, "ContainersNotInitialized",
                   nameList("incomplete", incomplete));
}

api::ConditionState containersReady(const PodView& view, std::string_view phase) {
  if (phase == "Succeeded") return condition("ContainersReady", false, "PodCompleted");
  if (phase == "Failed") return condition("ContainersReady", false, "PodFailed");
  std::vector<std::string> unready;
  for (const auto& container : view.initContainers) {
    if (container.sidecar && !isReady(container, true)) unready.push_back(container.name);
  }
  for (const auto& container : view.containers) {
    if (!isReady(container, false)) unready.push_back(container.name);
  }
  if (unready.empty()) return condition("ContainersReady", true);
  return condition("ContainersReady", false, "ContainersNotReady", nameList("unready", unready));
}

/// True while stand-ins take the place of containers.
api::ConditionState standInCondition(const PodView& view) {
  std::vector<std::string> names;
  for (const auto* list : {&view.initContainers, &view.containers}) {
    for (const auto& container : *list) {
      if (container.imageId == kStandInId) names.push_back(container.name);
    }
  }
  if (names.empty()) return condition(kStandInCondition, false, "ImagesPresent");
  return condition(kStandInCondition, true, "ImageMissing", nameList("stand-in", names));
}

api::ConditionState ready(const corev1::Pod& pod, api::ConditionState containers,
                          const corev1::PodStatus& status) {
  containers.type = "Ready";
  if (containers.status != "True") return containers;
  std::string missing;
  for (const auto& gate : pod.spec().readinessgates()) {
    const auto* found = api::findCondition(status, gate.conditiontype());
    if (found != nullptr && found->status() == "True") continue;
    if (!missing.empty()) missing += ", ";
    missing += found == nullptr ? "corresponding condition of pod readiness gate \"" +
                                      gate.conditiontype() + "\" does not exist."
                                : "the status of pod readiness gate \"" + gate.conditiontype() +
                                      "\" is not \"True\", but " + found->status();
  }
  if (missing.empty()) return containers;
  return condition("Ready", false, "ReadinessGatesNotReady", missing);
}

}  // namespace

std::string_view podPhase(const corev1::PodSpec& spec, const PodView& view) {
  bool pendingInit = false;
  bool failedInit = false;
  std::size_t waiting = 0;
  std::size_t running = 0;
  for (const auto& container : view.initContainers) {
    if (container.sidecar) {
      // One that has ended says nothing about the pod.
      const bool ended =
          container.phase != Phase::kRunning && (container.ended || container.previous);
      if (isRunning(container)) ++running;
      if (!ended && !isStarted(container) && !view.initialized) pendingInit = true;
      continue;
    }
    if (succeeded(container)) continue;
    // One that waits for its next try has failed, too.
    bool failed =
        container.phase != Phase::kRunning && container.ended && container.ended->exitcode() != 0;
    (failed ? failedInit : pendingInit) = true;
  }
  std::size_t stopped = 0;
  std::size_t good = 0;
  for (const auto& container : view.containers) {
    if (isRunning(container)) {
      ++running;
    } else if (container.ended || container.previous) {
      ++stopped;
      if (container.phase == Phase::kTerminated && container.ended->exitcode() == 0) ++good;
    } else {
      ++waiting;
    }
  }
  if (view.failure && view.final) return "Failed";
  if (failedInit && (spec.restartpolicy() == "Never" || view.final)) return "Failed";
  if (pendingInit || waiting > 0) return "Pending";
  if (running > 0) return "Running";
  if (stopped == 0) return "Pending";
  if (view.final) return good == stopped ? "Succeeded" : "Failed";
  if (spec.restartpolicy() == "Always" || spec.restartpolicy().empty()) return "Running";
  if (good == stopped) return "Succeeded";
  return spec.restartpolicy() == "Never" ? "Failed" : "Running";
}

void updateStatus(corev1::PodStatus& status, const corev1::Pod& pod, const PodView& view,
                  WallTime now) {
  std::string_view phase = podPhase(pod.spec(), view);
  status.set_phase(std::string(phase));
  const bool evicted = view.failure && view.failure->reason == kEvicted;
  if (evicted) {
    const api::ConditionState why{"DisruptionTarget", "True", "TerminationByKubelet",
                                  view.failure->message};
    api::setCondition(status, why, now);
  }
  if (view.failure && (phase == "Failed" || evicted)) {
    status.set_reason(view.failure->reason);
    status.set_message(view.failure->message);
  }
  *status.mutable_starttime() = api::toTime(view.startTime);
  // As kubelet's rejectPod(): there is no more to say.
  if (view.failure && view.failure->rejected) return;

  status.clear_hostip();
  status.clear_hostips();
  for (const auto& ip : view.hostIps) status.add_hostips()->set_ip(ip);
  if (!view.hostIps.empty()) status.set_hostip(view.hostIps.front());
  status.clear_podip();
  status.clear_podips();
  for (const auto& ip : view.podIps) status.add_podips()->set_ip(ip);
  if (!view.podIps.empty()) status.set_podip(view.podIps.front());

  bool initDone = std::ranges::all_of(view.initContainers, isInitDone) || view.initialized;
  status.clear_initcontainerstatuses();
  for (const auto& container : view.initContainers) {
    fillContainerStatus(*status.add_initcontainerstatuses(), container, true, "PodInitializing");
  }
  status.clear_containerstatuses();
  for (const auto& container : view.containers) {
    fillContainerStatus(
        *status.add_containerstatuses(), container, false,
        initDone || view.initContainers.empty() ? "ContainerCreating" : "PodInitializing");
  }
  status.clear_ephemeralcontainerstatuses();
  for (const auto& container : view.ephemeralContainers) {
    auto& added = *status.add_ephemeralcontainerstatuses();
    fillContainerStatus(added, container, false, "ContainerCreating");
    added.set_ready(false);
    added.clear_started();
  }

  if (api::findCondition(status, "PodScheduled") == nullptr) {
    api::setCondition(status, condition("PodScheduled", true), now);
  }
  api::setCondition(status, condition("PodReadyToStartContainers", view.sandboxReady), now);
  api::setCondition(status, initialized(view, phase), now);
  auto all = containersReady(view, phase);
  api::setCondition(status, ready(pod, all, status), now);
  api::setCondition(status, all, now);
  const auto standIns = standInCondition(view);
  if (standIns.status == "True" || api::findCondition(status, kStandInCondition) != nullptr)
    api::setCondition(status, standIns, now);
}

void mergeStatus(corev1::PodStatus& merged, const corev1::PodStatus& theirs,
                 const corev1::PodStatus& ours) {
  // Their order is kept, so that an unchanged status stays equal.
  std::vector<const corev1::PodCondition*> conditions;
  for (const auto& condition : theirs.conditions()) {
    const auto* own = isOwn(condition) ? api::findCondition(ours, condition.type()) : nullptr;
    conditions.push_back(own != nullptr && condition.type() != "PodScheduled" ? own : &condition);
  }
  for (const auto& condition : ours.conditions()) {
    if (isOwn(condition) && api::findCondition(theirs, condition.type()) == nullptr)
      conditions.push_back(&condition);
  }
  merged.MergeFrom(ours);
  // Most have their place by that.
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    const int at = static_cast<int>(i);
    if (at >= ours.conditions_size()) {
      *merged.add_conditions() = *conditions[i];
    } else if (conditions[i] != &ours.conditions(at)) {
      *merged.mutable_conditions(at) = *conditions[i];
    }
  }
  const int count = static_cast<int>(conditions.size());
  if (const int more = merged.conditions_size() - count; more > 0)
    merged.mutable_conditions()->DeleteSubrange(count, more);
  if (theirs.has_qosclass()) merged.set_qosclass(theirs.qosclass());
  merged.clear_nominatednodename();
  if (theirs.has_nominatednodename()) merged.set_nominatednodename(theirs.nominatednodename());
  if (theirs.has_observedgeneration()) merged.set_observedgeneration(theirs.observedgeneration());
}

}  // namespace podlab::node
