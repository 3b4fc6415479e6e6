#include "controllers/autoscaling_limits.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace podlab::controllers {
namespace {

using Rules = autoscalingv2::HPAScalingRules;
using Spec = autoscalingv2::HorizontalPodAutoscalerSpec;
using Entries = std::vector<ScalingHistory::Entry>;

constexpr Duration kDownscaleWindow = std::chrono::minutes(5);
/// The longest period and window that a behavior may have.
constexpr Duration kMemory = std::chrono::hours(1);

void forget(Entries& entries, MonoTime now) {
  std::erase_if(entries, [&](const auto& entry) { return entry.at + kMemory < now; });
}

std::int32_t changeWithin(const Entries& entries, Duration period, MonoTime now) {
  std::int32_t sum = 0;
  for (const auto& entry : entries) {
    if (entry.at > now - period) sum += entry.replicas;
  }
  return sum;
}

/// How far the policies let the size go, from where it was when each one's period began.
std::int32_t policyLimit(const Rules& rules, const ScalingHistory& history, std::int32_t current,
                         bool up, MonoTime now) {
  if (rules.selectpolicy() == "Disabled") return current;
  // The largest change, or with Min the smallest.
  const bool highest = (rules.selectpolicy() == "Min") != up;
  std::int32_t limit =
      highest ? std::numeric_limits<std::int32_t>::min() : std::numeric_limits<std::int32_t>::max();
  for (const auto& policy : rules.policies()) {
    const Duration period = std::chrono::seconds(policy.periodseconds());
    const std::int32_t start = current - changeWithin(history.added, period, now) +
                               changeWithin(history.removed, period, now);
    const double sign = up ? 1 : -1;
    double proposed = start + sign * policy.value();
    if (policy.type() == "Percent") {
      proposed = start * (1 + sign * policy.value() / 100.0);
      // Rounded up: a small share must not keep the size for ever.
      proposed = up ? std::ceil(proposed) : std::trunc(proposed);
    }
    const auto bounded = static_cast<std::int32_t>(
        std::clamp(proposed, 0.0, double{std::numeric_limits<std::int32_t>::max()}));
    limit = highest ? std::max(limit, bounded) : std::min(limit, bounded);
  }
  return limit;
}

void stabilize(const Spec& spec, const Entries& recommendations, std::int32_t current,
               std::int32_t wanted, MonoTime now, LimitedSize& size) {
  const auto window = [](const Rules& rules, Duration otherwise) -> Duration {
    if (!rules.has_stabilizationwindowseconds()) return otherwise;
    return std::chrono::seconds(rules.stabilizationwindowseconds());
  };
  const Duration up = window(spec.behavior().scaleup(), Duration::zero());
  const Duration down = window(spec.behavior().scaledown(), kDownscaleWindow);
  std::int32_t lowest = wanted;
  std::int32_t highest = wanted;
  for (const auto& entry : recommendations) {
    if (entry.at > now - up) lowest = std::min(lowest, entry.replicas);
    if (entry.at > now - down) highest = std::max(highest, entry.replicas);
  }
  const std::int32_t stable = spec.has_behavior() ? std::clamp(current, lowest, highest) : highest;
  size.replicas = stable;
  size.stabilized = stable != wanted;
  const bool upwards = spec.has_behavior() && wanted >= current;
  size.stableReason = !size.stabilized ? "ReadyForNewScale"
                      : upwards        ? "ScaleUpStabilized"
                                       : "ScaleDownStabilized";
  size.stableMessage =
      !size.stabilized ? "recommended size matches current size"
      : upwards
          ? "recent recommendations were lower than current one, applying the lowest recent "
            "recommendation"
          : "recent recommendations were higher than current one, applying the highest recent "
            "recommendation";
}

void limit(LimitedSize& size, std::int32_t replicas, const char* reason, const char* message) {
  size.replicas = replicas;
  size.limited = true;
  size.limitReason = reason;
  size.limitMessage = message;
}

}  // namespace

LimitedSize limitSize(const Spec& spec, ScalingHistory& history, std::int32_t current,
                      std::int32_t wanted, MonoTime now) {
  LimitedSize size;
  forget(history.recommendations, now);
  stabilize(spec, history.recommendations, current, wanted, now, size);
  history.recommendations.push_back({now, wanted});
  size.limitReason = "DesiredWithinRange";
  size.limitMessage = "the desired count is within the acceptable range";

  constexpr std::int64_t kFirstSteps = 4;
  std::int64_t fastest = std::max(2 * std::int64_t{current}, kFirstSteps);
  std::int32_t slowest = spec.minreplicas();
  if (spec.has_behavior()) {
    fastest =
        std::max(policyLimit(spec.behavior().scaleup(), history, current, true, now), current);
    slowest =
        std::min(policyLimit(spec.behavior().scaledown(), history, current, false, now), current);
  }
  const bool growing = !spec.has_behavior() || size.replicas > current;
  const bool shrinking = !spec.has_behavior() || size.replicas < current;
  if (growing && size.replicas > std::min<std::int64_t>(fastest, spec.maxreplicas())) {
    if (fastest < spec.maxreplicas()) {
      limit(size, static_cast<std::int32_t>(fastest), "ScaleUpLimit",
            "the desired replica count is increasing faster than the maximum scale rate");
    } else {
      limit(size, spec.maxreplicas(), "TooManyReplicas",
            "the desired replica count is more than the maximum replica count");
    }
  } else if (shrinking && size.replicas < std::max(slowest, spec.minreplicas())) {
    if (slowest > spec.minreplicas()) {
      limit(size, slowest, "ScaleDownLimit",
            "the desired replica count is decreasing faster than the maximum scale rate");
    } else {
      limit(size, spec.minreplicas(), "TooFewReplicas",
            "the desired replica count is less than the minimum replica count");
    }
  }
  return size;
}

void recordScaling(ScalingHistory& history, std::int32_t before, std::int32_t after, MonoTime now) {
  forget(history.added, now);
  forget(history.removed, now);
  if (after > before) history.added.push_back({now, after - before});
  if (after < before) history.removed.push_back({now, before - after});
}

}  // namespace podlab::controllers
