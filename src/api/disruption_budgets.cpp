#include "api/disruption_budgets.hpp"

#include <algorithm>

#include "api/selectors.hpp"
#include "api/times.hpp"

namespace podlab::api {
namespace {

bool setAllowed(policyv1::PodDisruptionBudget& budget, bool allowed, const std::string& reason,
                const std::string& message, WallTime now) {
  auto& conditions = *budget.mutable_status()->mutable_conditions();
  const auto found = std::ranges::find(conditions, "DisruptionAllowed", &metav1::Condition::type);
  metav1::Condition& condition = found == conditions.end() ? *conditions.Add() : *found;
  const std::string status = allowed ? "True" : "False";
  const metav1::Condition before = condition;
  condition.set_type("DisruptionAllowed");
  condition.set_status(status);
  condition.set_reason(reason);
  condition.set_message(message);
  condition.set_observedgeneration(budget.status().observedgeneration());
  if (before.status() != status) *condition.mutable_lasttransitiontime() = toTime(now);
  return before.SerializeAsString() != condition.SerializeAsString();
}

}  // namespace

bool selects(const policyv1::PodDisruptionBudget& budget, const corev1::Pod& pod) {
  if (!budget.spec().has_selector() ||
      budget.metadata().namespace_() != pod.metadata().namespace_())
    return false;
  const auto selector = LabelSelector::of(budget.spec().selector());
  return selector && selector->matches(pod.metadata().labels());
}

bool updateDisruptionAllowed(policyv1::PodDisruptionBudget& budget, WallTime now) {
  const bool allowed = budget.status().disruptionsallowed() > 0;
  return setAllowed(budget, allowed, allowed ? "SufficientPods" : "InsufficientPods", "", now);
}

void setDisruptionFailed(policyv1::PodDisruptionBudget& budget, const std::string& why,
                         WallTime now) {
  budget.mutable_status()->set_disruptionsallowed(0);
  setAllowed(budget, false, "SyncFailed", why, now);
}

}  // namespace podlab::api
