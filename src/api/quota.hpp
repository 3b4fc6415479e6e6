#pragma once
#include <set>
#include <string>
#include <string_view>

#include "core_v1_policies.pb.h"

#include "api/kinds.hpp"
#include "api/object.hpp"
#include "api/pod_resources.hpp"

/// What objects take of ResourceQuotas (upstream: pkg/quota/v1/evaluator/core): for admission and
/// for the controller that counts anew.
namespace podlab::api {

/// What an object takes, by the names that quotas have for it: "pods", "requests.cpu",
/// "count/deployments.apps", ... A pod that has finished takes no more than its "count/pods".
ResourceList quotaUsage(const google::protobuf::Message& object);

/// The kind whose objects take of a resource of quotas; nullptr when there is none.
const Kind* kindOfQuotaResource(std::string_view resource);

/// Whether the quota's scopes and scope selector are about the object: those are about pods alone.
bool inScope(const corev1::ResourceQuotaSpec& quota, const google::protobuf::Message& object);

/// "cpu for: a,b; memory for: a" when containers of the pod leave out what a quota over
/// `resources` makes them say; "" when they do not.
std::string missingRequests(const corev1::Pod& pod, const std::set<std::string>& resources);

/// Whether pods that are in this scope can be counted by the resource; and the scopes there are.
bool isScope(std::string_view scope);
bool scopeCovers(std::string_view scope, std::string_view resource);
/// Whether it is one of the resources of pods that are computed: cpu, limits.memory, ...
bool isComputeQuotaResource(std::string_view resource);

}  // namespace podlab::api
