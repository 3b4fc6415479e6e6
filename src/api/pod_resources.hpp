#pragma once
#include <google/protobuf/map.h>

#include <map>
#include <string>

#include "api/object.hpp"
#include "api/quantity.hpp"

namespace podlab::api {

/// Amounts by resource name ("cpu", "memory", "pods", ...).
using ResourceList = std::map<std::string, Quantity>;
using ResourceMap = google::protobuf::Map<std::string, resourcev1::Quantity>;

ResourceList toResourceList(const ResourceMap& resources);

/// What a pod takes of a node: for each resource the larger of what its containers take together
/// and what each init container takes while it runs (restartable ones, which keep running, count
/// with all that follow them), plus the overhead.
ResourceList podRequests(const corev1::Pod& pod);
/// The same of limits; the overhead counts for resources that have one.
ResourceList podLimits(const corev1::Pod& pod);

/// "Guaranteed" when each container's cpu and memory requests equal its limits, "BestEffort" when
/// no container requests or limits cpu or memory, else "Burstable".
std::string qosClass(const corev1::Pod& pod);

}  // namespace podlab::api
