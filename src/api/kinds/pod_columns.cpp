#include <optional>

#include "api/age.hpp"
#include "api/conditions.hpp"
#include "api/kinds/pod_parts.hpp"
#include "api/kinds/rows.hpp"
#include "api/times.hpp"

namespace podlab::api {
namespace {

using corev1::ContainerStatus;
using corev1::Pod;

/// What `kubectl get pods` shows of a pod, as Kubernetes' printer computes it.
struct Summary {
  std::string status;
  int ready = 0;
  int total = 0;
  int restarts = 0;
  std::optional<WallTime> lastRestart;
};

bool isRestartable(const Pod& pod, const std::string& name) {
  return std::ranges::any_of(pod.spec().initcontainers(), [&](const corev1::Container& container) {
    return container.name() == name && container.restartpolicy() == "Always";
  });
}

void countRestarts(const ContainerStatus& status, Summary& summary) {
  summary.restarts += status.restartcount();
  const metav1::Time& finished = status.laststate().terminated().finishedat();
  if (!isSet(finished)) return;
  summary.lastRestart =
      std::max(summary.lastRestart.value_or(toWallTime(finished)), toWallTime(finished));
}

std::string exitText(const corev1::ContainerStateTerminated& terminated) {
  if (!terminated.reason().empty()) return terminated.reason();
  if (terminated.signal() != 0) return "Signal:" + std::to_string(terminated.signal());
  return "ExitCode:" + std::to_string(terminated.exitcode());
}

/// Whether an init container is still to end; the status text then says which and why.
bool isInitializing(const Pod& pod, Summary& summary) {
  int index = -1;
  for (const ContainerStatus& status : pod.status().initcontainerstatuses()) {
    ++index;
    const corev1::ContainerState& state = status.state();
    if (state.has_terminated() && state.terminated().exitcode() == 0) continue;
    if (isRestartable(pod, status.name()) && status.started()) {
      if (status.ready()) ++summary.ready;
      continue;
    }
    const std::string& waiting = state.waiting().reason();
    if (state.has_terminated()) {
      summary.status = "Init:" + exitText(state.terminated());
    } else if (!waiting.empty() && waiting != "PodInitializing") {
      summary.status = "Init:" + waiting;
    } else {
      summary.status =
          "Init:" + std::to_string(index) + "/" + std::to_string(pod.spec().initcontainers_size());
    }
    return true;
  }
  return false;
}

/// The first container with something to say decides: the last one is asked first, so that it is
/// overruled.
void summarizeContainers(const Pod& pod, Summary& summary) {
  bool hasRunning = false;
  const auto& statuses = pod.status().containerstatuses();
  for (int i = statuses.size() - 1; i >= 0; --i) {
    const ContainerStatus& status = statuses[i];
    const corev1::ContainerState& state = status.state();
    countRestarts(status, summary);
    if (!state.waiting().reason().empty()) {
      summary.status = state.waiting().reason();
    } else if (state.has_terminated()) {
      summary.status = exitText(state.terminated());
    } else if (status.ready() && state.has_running()) {
      hasRunning = true;
      ++summary.ready;
    }
  }
  if (summary.status == "Completed" && hasRunning) {
    summary.status = isTrue(pod.status(), "Ready") ? "Running" : "NotReady";
  }
}

Summary summarize(const Pod& pod) {
  Summary summary;
  summary.status = pod.status().reason().empty() ? pod.status().phase() : pod.status().reason();
  const auto* scheduled = findCondition(pod.status(), "PodScheduled");
  if (scheduled != nullptr && scheduled->reason() == "SchedulingGated") {
    summary.status = scheduled->reason();
  }
  summary.total = pod.spec().containers_size();
  for (const corev1::Container& container : pod.spec().initcontainers()) {
    if (container.restartpolicy() == "Always") ++summary.total;
  }

  const bool initializing = isInitializing(pod, summary);
  const bool initialized = !initializing || isTrue(pod.status(), "Initialized");
  for (const ContainerStatus& status : pod.status().initcontainerstatuses()) {
    if (!initialized || isRestartable(pod, status.name())) countRestarts(status, summary);
  }
  if (initialized) summarizeContainers(pod, summary);

  if (isSet(pod.metadata().deletiontimestamp())) {
    if (pod.status().reason() == "NodeLost") {
      summary.status = "Unknown";
    } else if (!isFinished(pod)) {
      summary.status = "Terminating";
    }
  }
  return summary;
}

std::string restartsCell(const google::protobuf::Message& object, WallTime now) {
  const Summary summary = summarize(static_cast<const Pod&>(object));
  std::string text = std::to_string(summary.restarts);
  if (summary.restarts != 0 && summary.lastRestart) {
    text += " (" + formatAge(now - *summary.lastRestart) + " ago)";
  }
  return text;
}

std::string orNone(const std::string& text) {
  return text.empty() ? "<none>" : text;
}

std::string gatesCell(const Pod& pod) {
  if (pod.spec().readinessgates().empty()) return "<none>";
  const auto met = std::ranges::count_if(pod.spec().readinessgates(), [&](const auto& gate) {
    return isTrue(pod.status(), gate.conditiontype());
  });
  return std::to_string(met) + "/" + std::to_string(pod.spec().readinessgates_size());
}

/// The containers whose image is missing, and whose place podlab's stand-in takes.
std::string standInsCell(const Pod& pod) {
  std::string names;
  for (const auto* list :
       {&pod.status().initcontainerstatuses(), &pod.status().containerstatuses()}) {
    for (const ContainerStatus& status : *list) {
      if (status.imageid() == "stand-in") names += (names.empty() ? "" : ",") + status.name();
    }
  }
  return orNone(names);
}

}  // namespace

std::vector<Column> podColumns() {
  const auto ready = [](const Pod& pod) {
    const Summary summary = summarize(pod);
    return std::to_string(summary.ready) + "/" + std::to_string(summary.total);
  };
  const auto address = [](const Pod& pod) {
    return pod.status().podips().empty() ? orNone(pod.status().podip())
                                         : orNone(pod.status().podips(0).ip());
  };
  return {nameColumn(),
          column<Pod>("Ready", 0, ready),
          column<Pod>("Status", 0, [](const Pod& pod) { return summarize(pod).status; }),
          {"Restarts", 0, restartsCell},
          ageColumn(),
          column<Pod>("IP", 1, address),
          column<Pod>("Node", 1, [](const Pod& pod) { return orNone(pod.spec().nodename()); }),
          column<Pod>("Nominated Node", 1,
                      [](const Pod& pod) { return orNone(pod.status().nominatednodename()); }),
          column<Pod>("Readiness Gates", 1, gatesCell),
          column<Pod>("Stand-Ins", 1, standInsCell)};
}

}  // namespace podlab::api
