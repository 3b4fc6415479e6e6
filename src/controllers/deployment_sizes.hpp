#pragma once
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "apps_v1.pb.h"

#include "api/object.hpp"

/// How many pods each ReplicaSet of a Deployment is to have: arithmetic alone (upstream:
/// pkg/controller/deployment/rolling.go, sync.go and util/deployment_util.go).
namespace podlab::controllers {

using ReplicaSetPtr = std::shared_ptr<appsv1::ReplicaSet>;
using ReplicaSets = std::vector<ReplicaSetPtr>;
/// ReplicaSets with the sizes that they are to get, in the order in which to write them.
using Sizes = std::vector<std::pair<ReplicaSetPtr, std::int32_t>>;

bool isRolling(const appsv1::Deployment& deployment);
/// How many pods there may be above the wanted number, and how many of it may be unavailable. Never
/// both 0 in a rolling update. Sums have more bits than what they add up.
std::int64_t maxSurge(const appsv1::Deployment& deployment);
std::int64_t maxUnavailable(const appsv1::Deployment& deployment);

/// Sums: of the wanted sizes, of the pods there are, of the available ones.
std::int64_t wantedOf(const ReplicaSets& sets);
std::int64_t presentOf(const ReplicaSets& sets);
std::int64_t readyOf(const ReplicaSets& sets);
std::int64_t availableOf(const ReplicaSets& sets);
/// Those that want pods.
ReplicaSets active(const ReplicaSets& sets);
/// Oldest first.
void sortByAge(ReplicaSets& sets);

/// The next size of the newest set, which is among `all` unless it is still to be made.
std::int32_t sizeOfNewest(const appsv1::Deployment& deployment, const ReplicaSets& all,
                          std::int32_t present);
/// What a rolling update takes from the older sets at this moment: first pods that are not
/// available, then as many available ones as there are too many of. One set may be in it twice.
Sizes shrinkOlder(const appsv1::Deployment& deployment, const appsv1::ReplicaSet& newest,
                  ReplicaSets older);
/// What a change of the wanted number gives to each set: all to the one that is active; or, in the
/// middle of a rolling update, shares by the sets' sizes, of which the largest gets the rest.
/// `newest` may be null.
Sizes scaleAll(const appsv1::Deployment& deployment, const ReplicaSetPtr& newest,
               const ReplicaSets& older);

}  // namespace podlab::controllers
