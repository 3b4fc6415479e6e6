#pragma once
#include <optional>
#include <vector>

#include "api/object.hpp"
#include "api/selectors.hpp"

namespace podlab::scheduler {

/// Selects the pods of the Services that select this one, and of its owner: a ReplicaSet,
/// ReplicationController or StatefulSet; other owners, and none, add nothing. nullopt when nothing
/// selects (upstream: helper.DefaultSelector). `services` are of any namespaces.
std::optional<api::LabelSelector> defaultSelector(const corev1::Pod& pod,
                                                  const std::vector<api::ObjectPtr>& services,
                                                  const api::ObjectPtr& owner);

}  // namespace podlab::scheduler
