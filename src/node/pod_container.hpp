#pragma once
#include <optional>
#include <set>
#include <string>

#include "node/pod_worker.hpp"

namespace podlab::node {

/// One container of a pod, over all its instances.
struct PodWorker::Container {
  corev1::Container spec;
  bool init = false;
  ContainerView view;
  int attempt = -1;                 ///< of the current or last instance; -1: none was begun
  std::set<std::string> leftovers;  ///< ids of earlier instances that may still be there
  bool started = false;             ///< this instance was seen running, or has ended
  bool busy = false;                ///< an operation brings it up; nothing else may

  RestartBackoff backoff;
  MonoTime notBefore;          ///< of the next start
  std::optional<Image> image;  ///< for the next start
  RestartBackoff pullBackoff;
  MonoTime pullNotBefore;
  MonoTime pullErrorUntil;  ///< ErrImagePull is shown; then ImagePullBackOff
  std::string pullError;
  bool configFailed = false;  ///< until the pod changes

  bool outdated = false;  ///< runs with what is no longer wanted: to be stopped and started anew
  std::optional<MonoTime> killAt;
  int stopSignal = 15;      ///< of the current instance
  bool terminated = false;  ///< it was sent
  bool killed = false;      ///< SIGKILL was sent
  MonoTime killNotBefore;   ///< after a SIGKILL that failed

  bool refreshing = false;
  bool refreshAgain = false;

  ProbeResult probe;
  MonoTime nextProbe;
  bool probing = false;

  bool running() const { return view.phase == ContainerView::Phase::kRunning; }
  bool succeeded() const {
    return view.phase == ContainerView::Phase::kTerminated && view.ended->exitcode() == 0;
  }
};

}  // namespace podlab::node
