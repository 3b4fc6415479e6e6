#include "api/conditions.hpp"

#include "apiextensions_v1.pb.h"

#include "api/times.hpp"

namespace podlab::api {
namespace {

template <typename Conditions>
auto* find(Conditions& conditions, std::string_view type) {
  for (auto& condition : conditions) {
    if (condition.type() == type) return &condition;
  }
  return static_cast<decltype(&*conditions.begin())>(nullptr);
}

template <typename ObjectStatus>
bool holds(const ObjectStatus& status, std::string_view type) {
  const auto* condition = find(status.conditions(), type);
  return condition != nullptr && condition->status() == "True";
}

/// The condition to write, and whether the write changes it.
template <typename Condition, typename Conditions>
std::pair<Condition*, bool> set(Conditions& conditions, const ConditionState& state, WallTime now) {
  Condition* condition = find(conditions, state.type);
  if (condition == nullptr) {
    condition = conditions.Add();
    condition->set_type(state.type);
  } else if (condition->status() == state.status && condition->reason() == state.reason &&
             condition->message() == state.message) {
    return {condition, false};
  }
  if (condition->status() != state.status) *condition->mutable_lasttransitiontime() = toTime(now);
  condition->set_status(state.status);
  // An empty text is an absent field, as upstream's omitempty has it.
  state.reason.empty() ? condition->clear_reason() : condition->set_reason(state.reason);
  state.message.empty() ? condition->clear_message() : condition->set_message(state.message);
  return {condition, true};
}

}  // namespace

const corev1::PodCondition* findCondition(const corev1::PodStatus& status, std::string_view type) {
  return find(status.conditions(), type);
}

const corev1::NodeCondition* findCondition(const corev1::NodeStatus& status,
                                           std::string_view type) {
  return find(status.conditions(), type);
}

bool isTrue(const corev1::PodStatus& status, std::string_view type) {
  return holds(status, type);
}

bool isTrue(const corev1::NodeStatus& status, std::string_view type) {
  return holds(status, type);
}

bool isTrue(const apiextensionsv1::CustomResourceDefinitionStatus& status, std::string_view type) {
  return holds(status, type);
}

bool setCondition(corev1::PodStatus& status, const ConditionState& state, WallTime now) {
  return set<corev1::PodCondition>(*status.mutable_conditions(), state, now).second;
}

bool setCondition(corev1::NodeStatus& status, const ConditionState& state, WallTime now) {
  const auto [condition, changed] =
      set<corev1::NodeCondition>(*status.mutable_conditions(), state, now);
  *condition->mutable_lastheartbeattime() = toTime(now);
  return changed;
}

bool setCondition(corev1::NamespaceStatus& status, const ConditionState& state, WallTime now) {
  return set<corev1::NamespaceCondition>(*status.mutable_conditions(), state, now).second;
}

bool setCondition(apiextensionsv1::CustomResourceDefinitionStatus& status,
                  const ConditionState& state, WallTime now) {
  using Condition = apiextensionsv1::CustomResourceDefinitionCondition;
  return set<Condition>(*status.mutable_conditions(), state, now).second;
}

bool isFinished(const corev1::Pod& pod) {
  return pod.status().phase() == "Succeeded" || pod.status().phase() == "Failed";
}

}  // namespace podlab::api
