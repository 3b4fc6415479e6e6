#pragma once
#include "policy_v1.pb.h"

#include "api/object.hpp"
#include "common/time.hpp"

/// What the eviction API and the disruption controller have in common.
namespace podlab::api {

/// How long after its eviction a pod that is still there counts as disrupted.
inline constexpr Duration kDisruptionTimeout = std::chrono::minutes(2);

/// Whether the budget is about the pod (of its namespace). One without a selector is about none,
/// one with an empty selector about all.
bool selects(const policyv1::PodDisruptionBudget& budget, const corev1::Pod& pod);

/// Makes the condition DisruptionAllowed tell what status.disruptionsAllowed does (upstream:
/// pkg/apis/policy/helper). Whether that changes it.
bool updateDisruptionAllowed(policyv1::PodDisruptionBudget& budget, WallTime now);
/// No disruption is allowed because the budget could not be worked out.
void setDisruptionFailed(policyv1::PodDisruptionBudget& budget, const std::string& why,
                         WallTime now);

}  // namespace podlab::api
