#include "node/probe_worker.hpp"

#include <algorithm>
#include <utility>

namespace podlab::node {
namespace {

// Kubernetes' defaults, for what is not set.
constexpr int kPeriodSeconds = 10;
constexpr int kFailureThreshold = 3;

}  // namespace

std::string_view probeKindName(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::kStartup:
      return "Startup";
    case ProbeKind::kLiveness:
      return "Liveness";
    default:
      return "Readiness";
  }
}

ProbeWorker::ProbeWorker(ProbeKind kind, corev1::Probe spec)
    : kind_(kind), spec_(std::move(spec)) {}

void ProbeWorker::begin(MonoTime began, MonoTime now, std::optional<bool> result) {
  running = false;
  onHold_ = false;
  run_ = 0;
  result_ = result;
  if (!result && kind_ != ProbeKind::kStartup) result_ = kind_ == ProbeKind::kLiveness;
  first_ = due_ = began + std::chrono::seconds(spec_.initialdelayseconds());
  if (due_ < now) skipTo(now);
}

void ProbeWorker::skipTo(MonoTime now, bool atOnce) {
  if (now < first_) return;
  const Duration period =
      std::chrono::seconds(spec_.periodseconds() > 0 ? spec_.periodseconds() : kPeriodSeconds);
  due_ = atOnce ? now : first_ + ((now - first_) / period + 1) * period;
}

void ProbeWorker::add(bool success) {
  run_ = run_ > 0 && success == last_ ? run_ + 1 : 1;
  last_ = success;
  const int threshold =
      success ? std::max(1, spec_.successthreshold())
              : (spec_.failurethreshold() > 0 ? spec_.failurethreshold() : kFailureThreshold);
  if (run_ < threshold) return;
  result_ = success;
  if (success || kind_ == ProbeKind::kReadiness) return;
  onHold_ = true;
  run_ = 0;
}

}  // namespace podlab::node
