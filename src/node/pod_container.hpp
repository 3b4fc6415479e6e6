#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "node/pod_worker.hpp"

namespace podlab::node {

/// One container of a pod, over all its instances.
struct PodWorker::Container {
  /// What the pod says of it, as the pod is at the time: a pod's containers keep their places.
  class Spec {
   public:
    using List =
        const google::protobuf::RepeatedPtrField<corev1::Container>& (corev1::PodSpec::*)() const;
    Spec(const api::Dormant<corev1::Pod>& pod, List list, int index)
        : pod_(&pod), list_(list), index_(index) {}
    /// Of an ephemeral one, which does not change.
    explicit Spec(corev1::Container ephemeral)
        : ephemeral_(std::make_shared<const corev1::Container>(std::move(ephemeral))) {}

    const corev1::Container& operator*() const { return ephemeral_ ? *ephemeral_ : in(**pod_); }
    const corev1::Container* operator->() const { return &**this; }
    /// As another state of the pod has it.
    const corev1::Container& in(const corev1::Pod& pod) const {
      return ephemeral_ ? *ephemeral_ : (pod.spec().*list_)().Get(index_);
    }

   private:
    const api::Dormant<corev1::Pod>* pod_ = nullptr;
    List list_ = nullptr;
    int index_ = 0;
    std::shared_ptr<const corev1::Container> ephemeral_;
  };

  explicit Container(Spec s) : spec(std::move(s)) {}

  Spec spec;
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
