#pragma once
#include <optional>

#include "api/object.hpp"
#include "apiserver/companion.hpp"
#include "apiserver/watch_cache.hpp"
#include "common/status.hpp"
#include "common/time.hpp"

namespace podlab::apiserver {

/// What the eviction of the pod takes of its disruption budget, if it takes anything (upstream:
/// registry/core/pod/storage/eviction.go). kTooManyRequests when the budget allows none.
Result<std::optional<Companion>> chargeBudget(const corev1::Pod& pod, WatchCache& cache,
                                              WallTime now);

}  // namespace podlab::apiserver
