#pragma once
#include <optional>
#include <string_view>

#include "api/object.hpp"
#include "common/time.hpp"

namespace podlab::node {

enum class ProbeKind { kStartup, kLiveness, kReadiness };

/// "Startup", "Liveness", "Readiness", as events name it.
std::string_view probeKindName(ProbeKind kind);

/// When one probe of a container is due, and what its outcomes say of the present instance
/// (kubelet pkg/kubelet/prober/worker.go). Probes come each periodSeconds, counted from the
/// instance's start and initialDelaySeconds; a tick that passes while a probe runs is left out. No
/// I/O and no clock.
class ProbeWorker {
 public:
  ProbeWorker(ProbeKind kind, corev1::Probe spec);

  ProbeKind kind() const { return kind_; }
  const corev1::Probe& spec() const { return spec_; }

  /// An instance runs since `began`. `result` is what is known of it already, as when the agent was
  /// restarted; nullopt: what kubelet assumes at first, failure for readiness, success for
  /// liveness, nothing for startup.
  void begin(MonoTime began, MonoTime now, std::optional<bool> result = std::nullopt);
  /// The next tick is the first one after `now`; with `atOnce`, the next probe is due now.
  void skipTo(MonoTime now, bool atOnce = false);
  void add(bool success);

  /// Of the next probe.
  MonoTime due() const { return due_; }
  /// A failed liveness or startup probe: none follows until there is another instance.
  bool onHold() const { return onHold_; }
  /// nullopt: not known yet.
  std::optional<bool> result() const { return result_; }

  bool running = false;  ///< the owner's note that a probe is under way

 private:
  ProbeKind kind_;
  corev1::Probe spec_;
  MonoTime first_;  ///< the tick from which the others are counted
  MonoTime due_;
  std::optional<bool> result_;
  bool last_ = false;
  int run_ = 0;  ///< equal outcomes in a row
  bool onHold_ = false;
};

}  // namespace podlab::node
