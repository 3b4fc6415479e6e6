#pragma once
#include <optional>
#include <string>

#include "common/time.hpp"
#include "controllers/deployment_sizes.hpp"

/// What a Deployment's status says (upstream: sync.go, progress.go and util/deployment_util.go).
namespace podlab::controllers {

inline constexpr const char* kAvailable = "Available";
inline constexpr const char* kProgressing = "Progressing";
inline constexpr const char* kReplicaFailure = "ReplicaFailure";

const appsv1::DeploymentCondition* findCondition(const appsv1::DeploymentStatus& status,
                                                 const std::string& type);
/// Sets a condition unless status and reason are those it has; lastTransitionTime becomes `now`
/// when the status changes.
void setCondition(appsv1::DeploymentStatus& status, const std::string& type,
                  const std::string& value, const std::string& reason, const std::string& message,
                  WallTime now);
void removeCondition(appsv1::DeploymentStatus& status, const std::string& type);

/// A deadline of the largest number is none.
bool hasProgressDeadline(const appsv1::Deployment& deployment);
/// All pods are of the newest template and available, and the status knows the present spec.
bool isComplete(const appsv1::Deployment& deployment, const appsv1::DeploymentStatus& status);

/// The counts and the condition Available; the other conditions are the deployment's. `newest` may
/// be null.
appsv1::DeploymentStatus countedStatus(const appsv1::Deployment& deployment, const ReplicaSets& all,
                                       const ReplicaSetPtr& newest, WallTime now);
/// The conditions Progressing and ReplicaFailure of a rollout, by what has changed since the
/// deployment's status.
void judgeProgress(const appsv1::Deployment& deployment, const ReplicaSets& all,
                   const ReplicaSetPtr& newest, appsv1::DeploymentStatus& status, WallTime now);
/// How long until the deadline of a rollout that is not complete; nullopt when none runs.
std::optional<Duration> untilDeadline(const appsv1::Deployment& deployment,
                                      const appsv1::DeploymentStatus& status, WallTime now);

}  // namespace podlab::controllers
