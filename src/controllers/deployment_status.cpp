#include "controllers/deployment_status.hpp"

#include <algorithm>
#include <limits>

#include "api/field_errors.hpp"
#include "api/times.hpp"

namespace podlab::controllers {
namespace {

using appsv1::Deployment;
using appsv1::DeploymentCondition;
using appsv1::DeploymentStatus;

constexpr const char* kTimedOut = "ProgressDeadlineExceeded";
constexpr const char* kComplete = "NewReplicaSetAvailable";

std::int32_t count(std::int64_t sum) {
  return static_cast<std::int32_t>(
      std::clamp<std::int64_t>(sum, 0, std::numeric_limits<std::int32_t>::max()));
}

/// `ReplicaSet "web-1" WHAT`, or of the deployment while there is no set.
std::string told(const Deployment& deployment, const ReplicaSetPtr& newest, const char* what) {
  return (newest ? "ReplicaSet " + api::quoted(newest->metadata().name())
                 : "Deployment " + api::quoted(deployment.metadata().name())) +
         what;
}

bool hasProgressed(const DeploymentStatus& before, const DeploymentStatus& now) {
  return now.updatedreplicas() > before.updatedreplicas() ||
         now.replicas() - now.updatedreplicas() < before.replicas() - before.updatedreplicas() ||
         now.readyreplicas() > before.readyreplicas() ||
         now.availablereplicas() > before.availablereplicas();
}

WallTime deadlineOf(const Deployment& deployment, const DeploymentCondition& condition) {
  return api::toWallTime(condition.lastupdatetime()) +
         std::chrono::seconds(deployment.spec().progressdeadlineseconds());
}

/// Once exceeded, until something moves.
bool isTimedOut(const Deployment& deployment, const DeploymentStatus& status, WallTime now) {
  const auto* condition = findCondition(status, kProgressing);
  if (condition == nullptr || condition->reason() == kComplete) return false;
  return condition->reason() == kTimedOut || deadlineOf(deployment, *condition) < now;
}

/// The newest set's, or that of any.
const appsv1::ReplicaSetCondition* failureOf(const ReplicaSets& all, const ReplicaSetPtr& newest) {
  const auto of = [](const appsv1::ReplicaSet& set) -> const appsv1::ReplicaSetCondition* {
    for (const auto& condition : set.status().conditions()) {
      if (condition.type() == kReplicaFailure) return &condition;
    }
    return nullptr;
  };
  if (newest) {
    if (const auto* failure = of(*newest)) return failure;
  }
  for (const auto& set : all) {
    if (const auto* failure = of(*set)) return failure;
  }
  return nullptr;
}

}  // namespace

const DeploymentCondition* findCondition(const DeploymentStatus& status, const std::string& type) {
  const auto found = std::ranges::find(status.conditions(), type, &DeploymentCondition::type);
  return found == status.conditions().end() ? nullptr : &*found;
}

void removeCondition(DeploymentStatus& status, const std::string& type) {
  auto& conditions = *status.mutable_conditions();
  const auto found = std::ranges::find(conditions, type, &DeploymentCondition::type);
  if (found != conditions.end()) conditions.erase(found);
}

void setCondition(DeploymentStatus& status, const std::string& type, const std::string& value,
                  const std::string& reason, const std::string& message, WallTime now) {
  DeploymentCondition next;
  next.set_type(type);
  next.set_status(value);
  next.set_reason(reason);
  next.set_message(message);
  *next.mutable_lastupdatetime() = api::toTime(now);
  *next.mutable_lasttransitiontime() = api::toTime(now);
  if (const auto* before = findCondition(status, type)) {
    if (before->status() == value && before->reason() == reason) return;
    if (before->status() == value)
      *next.mutable_lasttransitiontime() = before->lasttransitiontime();
    removeCondition(status, type);
  }
  *status.add_conditions() = next;
}

bool hasProgressDeadline(const Deployment& deployment) {
  return deployment.spec().progressdeadlineseconds() != std::numeric_limits<std::int32_t>::max();
}

bool isComplete(const Deployment& deployment, const DeploymentStatus& status) {
  const std::int32_t replicas = deployment.spec().replicas();
  return status.updatedreplicas() == replicas && status.replicas() == replicas &&
         status.availablereplicas() == replicas &&
         status.observedgeneration() >= deployment.metadata().generation();
}

DeploymentStatus countedStatus(const Deployment& deployment, const ReplicaSets& all,
                               const ReplicaSetPtr& newest, WallTime now) {
  DeploymentStatus status;
  const std::int64_t available = availableOf(all);
  // What is nothing stays unset: statuses are compared as bytes.
  const auto set = [&status](std::int64_t sum, void (DeploymentStatus::*setter)(std::int32_t)) {
    if (sum > 0) (status.*setter)(count(sum));
  };
  status.set_observedgeneration(deployment.metadata().generation());
  set(presentOf(all), &DeploymentStatus::set_replicas);
  set(newest ? newest->status().replicas() : 0, &DeploymentStatus::set_updatedreplicas);
  set(readyOf(all), &DeploymentStatus::set_readyreplicas);
  set(available, &DeploymentStatus::set_availablereplicas);
  set(wantedOf(all) - available, &DeploymentStatus::set_unavailablereplicas);
  if (deployment.status().has_collisioncount())
    status.set_collisioncount(deployment.status().collisioncount());
  *status.mutable_conditions() = deployment.status().conditions();
  if (available >= deployment.spec().replicas() - maxUnavailable(deployment)) {
    setCondition(status, kAvailable, "True", "MinimumReplicasAvailable",
                 "Deployment has minimum availability.", now);
  } else {
    setCondition(status, kAvailable, "False", "MinimumReplicasUnavailable",
                 "Deployment does not have minimum availability.", now);
  }
  return status;
}

void judgeProgress(const Deployment& deployment, const ReplicaSets& all,
                   const ReplicaSetPtr& newest, DeploymentStatus& status, WallTime now) {
  if (!hasProgressDeadline(deployment)) removeCondition(status, kProgressing);
  const auto* found = findCondition(deployment.status(), kProgressing);
  const bool wasComplete = status.replicas() == status.updatedreplicas() && found != nullptr &&
                           found->reason() == kComplete;
  if (hasProgressDeadline(deployment) && !wasComplete) {
    if (isComplete(deployment, status)) {
      setCondition(status, kProgressing, "True", kComplete,
                   told(deployment, newest, " has successfully progressed."), now);
    } else if (hasProgressed(deployment.status(), status)) {
      // Written again although it may say the same: the deadline counts from its lastUpdateTime.
      const std::optional<DeploymentCondition> before =
          found == nullptr ? std::nullopt : std::optional(*found);
      removeCondition(status, kProgressing);
      setCondition(status, kProgressing, "True", "ReplicaSetUpdated",
                   told(deployment, newest, " is progressing."), now);
      if (before && before->status() == "True") {
        auto& written = *status.mutable_conditions(status.conditions_size() - 1);
        *written.mutable_lasttransitiontime() = before->lasttransitiontime();
      }
    } else if (isTimedOut(deployment, status, now)) {
      setCondition(status, kProgressing, "False", kTimedOut,
                   told(deployment, newest, " has timed out progressing."), now);
    }
  }
  if (const auto* failure = failureOf(all, newest)) {
    setCondition(status, kReplicaFailure, failure->status(), failure->reason(), failure->message(),
                 now);
  } else {
    removeCondition(status, kReplicaFailure);
  }
}

std::optional<Duration> untilDeadline(const Deployment& deployment, const DeploymentStatus& status,
                                      WallTime now) {
  const auto* condition = findCondition(status, kProgressing);
  if (!hasProgressDeadline(deployment) || condition == nullptr) return std::nullopt;
  if (isComplete(deployment, status) || condition->reason() == kTimedOut) return std::nullopt;
  // A second more: times in objects have whole seconds.
  return std::max<Duration>(deadlineOf(deployment, *condition) - now, Duration::zero()) +
         std::chrono::seconds(1);
}

}  // namespace podlab::controllers
