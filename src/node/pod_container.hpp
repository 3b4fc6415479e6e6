#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/pod_worker.hpp"

namespace podlab::node {

/// One container of a pod, over all its instances.
struct PodWorker::Container {
  api::Dormant<corev1::Container> spec{corev1::Container()};
  bool init = false;       ///< comes before the others; `sidecar` then tells whether it stays
  bool sidecar = false;    ///< an init container that goes on running (restartPolicy Always)
  bool ephemeral = false;  ///< added to the running pod, never restarted
  std::string target;      ///< of an ephemeral one: the container whose processes it sees
  ContainerView view;
  int attempt = -1;                 ///< of the current or last instance; -1: none was begun
  std::set<std::string> leftovers;  ///< ids of earlier instances that may still be there
  bool started = false;             ///< this instance was seen running, or has ended
  bool busy = false;                ///< an operation brings it up; nothing else may

  RestartBackoff backoff;
  MonoTime notBefore;            ///< of the next start
  bool charged = true;           ///< the next start counts for the back-off
  std::unique_ptr<Image> image;  ///< for the next start; null: not known
  RestartBackoff pullBackoff;
  MonoTime pullNotBefore;
  MonoTime pullErrorUntil;  ///< ErrImagePull is shown; then ImagePullBackOff
  std::string pullError;
  bool configFailed = false;  ///< until the pod changes

  bool outdated = false;  ///< runs with what is no longer wanted: to be stopped and started anew
  bool sick = false;      ///< a probe says that it must be stopped
  std::optional<MonoTime> stopAt;        ///< it is being stopped: the end of its grace period
  int stopSignal = 15;                   ///< of the current instance
  std::optional<MonoTime> terminatedAt;  ///< it was sent
  bool killed = false;                   ///< SIGKILL was sent
  MonoTime killNotBefore;                ///< after a SIGKILL that failed

  // Of this instance's hooks: to be run when it is time, running, or over (also when there is
  // none).
  Step postStart = Step::kDone;
  Step preStop = Step::kTodo;
  WaitQueue hookMayEnd;  ///< the instance has ended, or stopAt has changed

  bool refreshing = false;
  bool refreshAgain = false;

  std::vector<ProbeWorker> probes;
  /// What an earlier agent knew of the instance that still runs.
  struct Known {
    bool started = false;
    bool ready = false;
  };
  std::optional<Known> known;

  bool running() const { return view.phase == ContainerView::Phase::kRunning; }
  bool succeeded() const {
    return view.phase == ContainerView::Phase::kTerminated && view.ended->exitcode() == 0;
  }
  /// What its probe of this kind says; true when it has none.
  bool passes(ProbeKind kind) const {
    for (const auto& probe : probes) {
      if (probe.kind() == kind) return probe.result().value_or(false);
    }
    return true;
  }
  /// It runs, its postStart hook has ended and its startup probe has succeeded.
  bool isUp() const { return running() && postStart == Step::kDone && passes(ProbeKind::kStartup); }
};

}  // namespace podlab::node
