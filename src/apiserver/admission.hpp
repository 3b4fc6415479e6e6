#pragma once
#include "api/kinds.hpp"
#include "apiserver/watch_cache.hpp"
#include "common/status.hpp"

namespace podlab::apiserver {

/// Completes or refuses a new object by what else there is in the cluster, as Kubernetes' built-in
/// admission plugins do: after the defaults, before validation. kForbidden says why not.
Status admitCreate(const api::Kind& kind, google::protobuf::Message& object, WatchCache& cache);

}  // namespace podlab::apiserver
