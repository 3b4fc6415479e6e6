#pragma once
#include <string>
#include <string_view>

#include "api/object.hpp"
#include "common/time.hpp"

namespace k8s::io::apiextensions_apiserver::pkg::apis::apiextensions::v1 {
class CustomResourceDefinitionStatus;
}

namespace podlab::api {

/// What a condition says; `status` is "True", "False" or "Unknown".
struct ConditionState {
  std::string type;
  std::string status;
  std::string reason;
  std::string message;
};

/// The condition of a type, nullptr when there is none.
const corev1::PodCondition* findCondition(const corev1::PodStatus& status, std::string_view type);
const corev1::NodeCondition* findCondition(const corev1::NodeStatus& status, std::string_view type);
/// Whether the condition is there and "True".
bool isTrue(const corev1::PodStatus& status, std::string_view type);
bool isTrue(const corev1::NodeStatus& status, std::string_view type);
bool isTrue(const apiextensionsv1::CustomResourceDefinitionStatus& status, std::string_view type);

/// Sets a condition; lastTransitionTime becomes `now` only when the status changes. Whether
/// anything changed.
bool setCondition(corev1::PodStatus& status, const ConditionState& state, WallTime now);
/// The same for a node; lastHeartbeatTime becomes `now` always, and counts as no change.
bool setCondition(corev1::NodeStatus& status, const ConditionState& state, WallTime now);

/// The same for a Namespace and a CustomResourceDefinition.
bool setCondition(corev1::NamespaceStatus& status, const ConditionState& state, WallTime now);
bool setCondition(apiextensionsv1::CustomResourceDefinitionStatus& status,
                  const ConditionState& state, WallTime now);

/// Whether the pod's containers have all ended for good: phase Succeeded or Failed.
bool isFinished(const corev1::Pod& pod);

}  // namespace podlab::api
