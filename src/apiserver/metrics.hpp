#pragma once
#include <functional>
#include <string>

#include "agent_rpc.pb.h"

#include "api/api.hpp"
#include "apiserver/api_service.hpp"
#include "common/clock.hpp"

namespace podlab::apiserver {

/// Measures what a node and its containers use.
using UsageOf = std::function<Co<Result<rpc::UsageReport>>(std::string node)>;

/// Makes the service answer metrics.k8s.io/v1beta1, as metrics-server does: nodes and running pods
/// with the figures that their agents measure when somebody asks. What cannot be measured within a
/// few seconds is left out of lists, and not found by name. `reader`, which reads all nodes and
/// pods, and `clock` outlive the requests.
void serveMetrics(ApiService& service, api::Api& reader, Clock& clock, UsageOf usageOf);

}  // namespace podlab::apiserver
