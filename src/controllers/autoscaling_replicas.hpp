#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/object.hpp"
#include "common/status.hpp"
#include "common/time.hpp"

/// How many replicas a metric asks for (upstream: podautoscaler/replica_calculator.go). Pure.
namespace podlab::controllers {

/// One pod's use of a resource, in thousandths.
struct PodMetric {
  std::int64_t milli = 0;
  WallTime timestamp{};
  Duration window{};
};
using PodMetrics = std::map<std::string, PodMetric>;  ///< by pod

/// What a metric is to be near.
struct AutoscalingTarget {
  std::string resource;   ///< "cpu", "memory"
  std::string container;  ///< empty: of all containers
  /// Either the percentage of what is requested, or an amount a pod in thousandths.
  std::optional<std::int32_t> utilization;
  std::int64_t averageMilli = 0;
  /// How far off the ratio may be before anything changes.
  double toleranceUp = 0.1;
  double toleranceDown = 0.1;
};

struct ReplicaProposal {
  std::int32_t replicas = 0;
  std::optional<std::int32_t> utilization;  ///< in percent
  std::int64_t averageMilli = 0;
};

/// `pods`: those of the target. Pods that are not ready, or of which nothing is known, count such
/// that they neither cause a change nor turn one around.
Result<ReplicaProposal> proposeReplicas(const AutoscalingTarget& target,
                                        const std::vector<api::ObjectPtr>& pods, PodMetrics metrics,
                                        std::int32_t currentReplicas, WallTime now);

}  // namespace podlab::controllers
