#include <algorithm>

#include "apps_v1.pb.h"
#include "core_v1_workloads.pb.h"

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "api/times.hpp"
#include "controllers/replicas.hpp"

namespace podlab::controllers {
namespace {

using google::protobuf::Message;

api::LabelSelector parsed(const metav1::LabelSelector& selector) {
  return selectorOrNone(selector);
}

api::LabelSelector parsed(const api::Labels& labels) {
  metav1::LabelSelector selector;
  *selector.mutable_matchlabels() = labels;
  return parsed(selector);
}

template <typename T>
ReplicaSpec specOf(const Message& object) {
  const auto& spec = static_cast<const T&>(object).spec();
  return {static_cast<std::size_t>(std::max(spec.replicas(), 0)), spec.minreadyseconds(),
          parsed(spec.selector()), &spec.template_()};
}

template <typename T>
bool setStatus(Message& object, const ReplicaStatus& wanted, std::int64_t generation,
               WallTime now) {
  auto& status = *static_cast<T&>(object).mutable_status();
  const std::string before = status.SerializeAsString();
  const auto set = [](std::int32_t count, auto apply, auto clear) {
    count == 0 ? clear() : apply(count);
  };
  status.set_replicas(wanted.replicas);
  set(
      wanted.fullyLabeled, [&](auto n) { status.set_fullylabeledreplicas(n); },
      [&] { status.clear_fullylabeledreplicas(); });
  set(
      wanted.ready, [&](auto n) { status.set_readyreplicas(n); },
      [&] { status.clear_readyreplicas(); });
  set(
      wanted.available, [&](auto n) { status.set_availablereplicas(n); },
      [&] { status.clear_availablereplicas(); });
  status.set_observedgeneration(std::max(generation, status.observedgeneration()));
  auto& conditions = *status.mutable_conditions();
  const auto failure = std::ranges::find_if(
      conditions, [](const auto& condition) { return condition.type() == "ReplicaFailure"; });
  if (wanted.failure.empty()) {
    if (failure != conditions.end()) conditions.erase(failure);
  } else if (failure == conditions.end()) {
    auto& condition = *conditions.Add();
    condition.set_type("ReplicaFailure");
    condition.set_status("True");
    condition.set_reason(wanted.failure);
    condition.set_message(wanted.message);
    *condition.mutable_lasttransitiontime() = api::toTime(now);
  }
  return status.SerializeAsString() != before;
}

template <typename T>
ReplicaKind kindOf() {
  return {&api::kindFor<T>(), specOf<T>, setStatus<T>};
}

}  // namespace

ReplicaKind ofReplicaSets() {
  return kindOf<appsv1::ReplicaSet>();
}

ReplicaKind ofReplicationControllers() {
  return kindOf<corev1::ReplicationController>();
}

}  // namespace podlab::controllers
