#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.hpp"
#include "common/time.hpp"

namespace podlab::node {

/// The reason of a pod that its node has given up.
inline constexpr const char* kEvicted = "Evicted";

/// What the node knows of one container.
struct ContainerView {
  enum class Phase { kWaiting, kRunning, kTerminated };

  std::string name;
  std::string image;
  std::string imageId;
  std::string containerId;  ///< of the current or last instance, "crun://..."; empty: none started
  int restartCount = 0;
  Phase phase = Phase::kWaiting;
  std::string waitingReason;  ///< empty: the usual one before the first start
  std::string waitingMessage;
  std::optional<WallTime> startedAt;                      ///< of the running instance
  std::optional<corev1::ContainerStateTerminated> ended;  ///< how the instance ended, once it has
  std::optional<corev1::ContainerStateTerminated> previous;  ///< how the one before it ended
  std::string stopSignal;                                    ///< as its lifecycle names it
  bool sidecar = false;    ///< an init container that goes on running beside the others
  bool postStart = false;  ///< runs, but its hook has not ended: shown as waiting still
  bool started = false;    ///< runs, and its startup probe has succeeded
  bool ready = false;      ///< and its readiness probe holds
};

/// Why a pod is ended before its containers say so.
struct PodFailure {
  std::string reason;
  std::string message;
  bool rejected = false;  ///< at its admission: nothing of it was begun
};

/// What the node knows of a pod.
struct PodView {
  bool sandboxReady = false;
  std::vector<std::string> podIps;
  std::vector<std::string> hostIps;
  WallTime startTime;
  bool final = false;        ///< no container will be started any more
  bool initialized = false;  ///< containers that are no init containers have begun
  std::optional<PodFailure> failure;
  std::vector<ContainerView> initContainers;
  std::vector<ContainerView> containers;
  std::vector<ContainerView> ephemeralContainers;
};

/// The pod's phase as kubelet derives it (pkg/kubelet/kubelet_pods.go getPhase).
std::string_view podPhase(const corev1::PodSpec& spec, const PodView& view);

/// Brings the last status up to date, as kubelet reports it: it keeps what others own (qosClass,
/// further conditions) and the transition times of what does not change.
void updateStatus(corev1::PodStatus& status, const corev1::Pod& pod, const PodView& view,
                  WallTime now);

/// Makes of an empty status `theirs`, which the server has, with the fields and conditions that the
/// node owns taken from `ours`.
void mergeStatus(corev1::PodStatus& merged, const corev1::PodStatus& theirs,
                 const corev1::PodStatus& ours);

}  // namespace podlab::node
