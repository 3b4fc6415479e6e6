#include "api/jobs.hpp"

#include <algorithm>

#include "api/times.hpp"

namespace podlab::api {

const batchv1::JobCondition* findTrue(const batchv1::Job& job, std::string_view type) {
  for (const auto& condition : job.status().conditions()) {
    if (condition.type() == type && condition.status() == "True") return &condition;
  }
  return nullptr;
}

bool setCondition(batchv1::JobStatus& status, const ConditionState& state, WallTime now) {
  auto& conditions = *status.mutable_conditions();
  const auto found =
      std::ranges::find(conditions, state.type, [](const auto& each) { return each.type(); });
  if (found == conditions.end() && state.status == "False") return false;
  batchv1::JobCondition& condition = found == conditions.end() ? *conditions.Add() : *found;
  if (condition.status() == state.status && condition.reason() == state.reason &&
      condition.message() == state.message)
    return false;
  condition.set_type(state.type);
  condition.set_status(state.status);
  condition.set_reason(state.reason);
  condition.set_message(state.message);
  *condition.mutable_lastprobetime() = toTime(now);
  *condition.mutable_lasttransitiontime() = toTime(now);
  return true;
}

const batchv1::JobCondition* finishedCondition(const batchv1::Job& job) {
  const auto* complete = findTrue(job, kJobComplete);
  return complete != nullptr ? complete : findTrue(job, kJobFailed);
}

}  // namespace podlab::api
