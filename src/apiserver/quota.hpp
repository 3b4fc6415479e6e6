#pragma once
#include <vector>

#include "api/object.hpp"
#include "apiserver/companion.hpp"
#include "apiserver/watch_cache.hpp"
#include "common/status.hpp"

namespace podlab::apiserver {

/// What a new object, or a change of one (`before` not null), takes of its namespace's
/// ResourceQuotas: the quotas as they are to be afterwards, written in the same transaction, so
/// that the sum is exact whatever happens at the same time (upstream: the admission plugin
/// ResourceQuota). kForbidden when a quota has not enough left.
Result<std::vector<Companion>> chargeQuotas(const google::protobuf::Message& now,
                                            const google::protobuf::Message* before,
                                            WatchCache& cache);

}  // namespace podlab::apiserver
