#pragma once
#include <utility>

#include "api/kinds.hpp"

namespace podlab::api {

/// The rows of the kinds table, each in the file of its name.
Kind podKind();
Kind nodeKind();
Kind namespaceKind();
Kind configMapKind();
Kind secretKind();
Kind persistentVolumeKind();
Kind persistentVolumeClaimKind();
Kind storageClassKind();
Kind serviceKind();
Kind endpointsKind();
Kind endpointSliceKind();
Kind networkPolicyKind();
Kind ingressKind();
Kind ingressClassKind();
Kind priorityClassKind();
Kind resourceQuotaKind();
Kind limitRangeKind();
Kind podDisruptionBudgetKind();
Kind horizontalPodAutoscalerKind();
Kind horizontalPodAutoscalerV1Kind();
Kind eventKind();
Kind eventsEventKind();  ///< of events.k8s.io
Kind leaseKind();
Kind replicationControllerKind();
Kind replicaSetKind();
Kind deploymentKind();
Kind daemonSetKind();
Kind statefulSetKind();
Kind controllerRevisionKind();
Kind jobKind();
Kind cronJobKind();
Kind nodeMetricsKind();
Kind podMetricsKind();
Kind serviceAccountKind();
Kind roleKind();
Kind clusterRoleKind();
Kind roleBindingKind();
Kind clusterRoleBindingKind();
Kind customResourceDefinitionKind();
/// authentication.k8s.io and authorization.k8s.io: served, not stored.
std::vector<Kind> reviewKinds();
Kind bindingKind();
Kind scaleKind();
Kind evictionKind();
Kind tokenRequestKind();

/// The columns that every kind has.
Column nameColumn();
Column ageColumn();

/// The texts of a list's elements, with commas between.
template <typename List, typename TextOf>
std::string joined(const List& list, TextOf textOf) {
  std::string text;
  for (const auto& element : list) {
    if (!text.empty()) text += ',';
    text += textOf(element);
  }
  return text;
}
/// The first three, and how many more there are ("a,b,c + 2 more..."); `none` when there is none.
std::string firstOf(const std::vector<std::string>& all, std::string_view none);

/// Turn a function of the concrete message into one of any message.
template <typename T, typename F>
auto reads(F function) {
  return [function = std::move(function)](const google::protobuf::Message& object) {
    return function(static_cast<const T&>(object));
  };
}
template <typename T, typename F>
auto writes(F function) {
  return [function = std::move(function)](google::protobuf::Message& object) {
    function(static_cast<T&>(object));
  };
}
/// A conversion between two forms of a kind.
template <typename From, typename To, void (*Function)(const From&, To&)>
void converts(const google::protobuf::Message& from, google::protobuf::Message& to) {
  Function(static_cast<const From&>(from), static_cast<To&>(to));
}
template <typename T, typename F>
auto compares(F function) {
  return [function = std::move(function)](const google::protobuf::Message& now,
                                          const google::protobuf::Message& before) {
    return function(static_cast<const T&>(now), static_cast<const T&>(before));
  };
}

/// A column that does not depend on the time.
template <typename T, typename F>
Column column(std::string_view name, int priority, F function) {
  return {name, priority,
          [function = std::move(function)](const google::protobuf::Message& object, WallTime) {
            return std::string(function(static_cast<const T&>(object)));
          }};
}

}  // namespace podlab::api
