#include "controllers/autoscaling_replicas.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "api/conditions.hpp"
#include "api/quantity.hpp"
#include "api/times.hpp"

namespace podlab::controllers {
namespace {

constexpr Duration kCpuInitialization = std::chrono::minutes(5);
constexpr Duration kInitialReadiness = std::chrono::seconds(30);

using Names = std::set<std::string>;
using Requests = std::map<std::string, std::int64_t>;

struct Groups {
  std::int32_t ready = 0;
  Names unready;
  Names missing;
  Names ignored;
};

/// CPU figures of a pod that starts say nothing about its load.
bool isStarting(const corev1::Pod& pod, const PodMetric& metric, WallTime now) {
  const auto* ready = api::findCondition(pod.status(), "Ready");
  if (ready == nullptr || !pod.status().has_starttime()) return true;
  const WallTime start = api::toWallTime(pod.status().starttime());
  const WallTime changed = api::toWallTime(ready->lasttransitiontime());
  const bool unready = ready->status() == "False";
  if (start + kCpuInitialization > now)
    return unready || metric.timestamp < changed + metric.window;
  return unready && start + kInitialReadiness > changed;
}

Groups group(const std::vector<api::ObjectPtr>& pods, const PodMetrics& metrics,
             const std::string& resource, WallTime now) {
  Groups groups;
  for (const auto& object : pods) {
    const auto& pod = api::as<corev1::Pod>(object);
    const std::string& name = pod.metadata().name();
    const auto metric = metrics.find(name);
    if (pod.metadata().has_deletiontimestamp() || pod.status().phase() == "Failed") {
      groups.ignored.insert(name);
    } else if (pod.status().phase() == "Pending") {
      groups.unready.insert(name);
    } else if (metric == metrics.end()) {
      groups.missing.insert(name);
    } else if (resource == "cpu" && isStarting(pod, metric->second, now)) {
      groups.unready.insert(name);
    } else {
      ++groups.ready;
    }
  }
  return groups;
}

Result<Requests> requestsOf(const AutoscalingTarget& target,
                            const std::vector<api::ObjectPtr>& pods) {
  Requests requests;
  for (const auto& object : pods) {
    const auto& pod = api::as<corev1::Pod>(object);
    std::int64_t sum = 0;
    for (const auto& container : pod.spec().containers()) {
      if (!target.container.empty() && container.name() != target.container) continue;
      const auto& amounts = container.resources().requests();
      const auto request = amounts.find(target.resource);
      if (request == amounts.end()) {
        return Status(Code::kInvalid, "missing request for " + target.resource + " in container " +
                                          container.name() + " of Pod " + pod.metadata().name());
      }
      sum += api::Quantity::read(request->second).milliValue();
    }
    requests[pod.metadata().name()] = sum;
  }
  return requests;
}

/// How the pods' use compares with the target, and what it is.
struct Ratio {
  double ratio = 1;
  std::optional<std::int32_t> utilization;
  std::int64_t averageMilli = 0;
};

Result<Ratio> ratioOf(const AutoscalingTarget& target, const PodMetrics& metrics,
                      const Requests& requests) {
  std::int64_t used = 0;
  std::int64_t requested = 0;
  std::int64_t count = 0;
  for (const auto& [name, metric] : metrics) {
    const auto request = requests.find(name);
    if (target.utilization && request == requests.end()) continue;
    used += metric.milli;
    requested += request == requests.end() ? 0 : request->second;
    ++count;
  }
  Ratio made;
  if (!target.utilization) {
    made.averageMilli = used / std::max<std::int64_t>(count, 1);
    made.ratio = static_cast<double>(made.averageMilli) / static_cast<double>(target.averageMilli);
    return made;
  }
  if (requested == 0) return Status(Code::kInvalid, "no metrics returned matched known pods");
  made.utilization = static_cast<std::int32_t>(used * 100 / requested);
  made.averageMilli = used / count;
  made.ratio = static_cast<double>(*made.utilization) / static_cast<double>(*target.utilization);
  return made;
}

bool isWithin(const AutoscalingTarget& target, double ratio) {
  return ratio >= 1 - target.toleranceDown && ratio <= 1 + target.toleranceUp;
}

/// What a pod is taken to use of which nothing is known: what changes the least.
std::int64_t assumed(const AutoscalingTarget& target, const std::string& pod,
                     const Requests& requests, double ratio) {
  if (ratio > 1) return 0;
  if (!target.utilization) return target.averageMilli;
  return requests.at(pod) * std::max(100, *target.utilization) / 100;
}

}  // namespace

Result<ReplicaProposal> proposeReplicas(const AutoscalingTarget& target,
                                        const std::vector<api::ObjectPtr>& pods, PodMetrics metrics,
                                        std::int32_t currentReplicas, WallTime now) {
  if (pods.empty()) {
    return Status(Code::kInvalid, "no pods returned by selector while calculating replica count");
  }
  const Groups groups = group(pods, metrics, target.resource, now);
  for (const auto& names : {groups.ignored, groups.unready}) {
    for (const auto& name : names) metrics.erase(name);
  }
  if (metrics.empty()) {
    return Status(Code::kInvalid,
                  "did not receive metrics for targeted pods (pods might be unready)");
  }
  Requests requests;
  if (target.utilization) {
    auto known = requestsOf(target, pods);
    if (!known) return known.status();
    requests = std::move(*known);
  }
  const auto first = ratioOf(target, metrics, requests);
  if (!first) return first.status();
  ReplicaProposal proposal{currentReplicas, first->utilization, first->averageMilli};
  const bool withUnready = !groups.unready.empty() && first->ratio > 1;
  if (!withUnready && groups.missing.empty()) {
    if (!isWithin(target, first->ratio))
      proposal.replicas = static_cast<std::int32_t>(std::ceil(first->ratio * groups.ready));
    return proposal;
  }
  if (first->ratio != 1) {
    for (const auto& name : groups.missing)
      metrics[name].milli = assumed(target, name, requests, first->ratio);
  }
  if (withUnready) {
    for (const auto& name : groups.unready) metrics[name].milli = 0;
  }
  const auto second = ratioOf(target, metrics, requests);
  if (!second) return second.status();
  const bool turned =
      (first->ratio < 1 && second->ratio > 1) || (first->ratio > 1 && second->ratio < 1);
  if (turned || isWithin(target, second->ratio)) return proposal;
  const auto wanted =
      static_cast<std::int32_t>(std::ceil(second->ratio * static_cast<double>(metrics.size())));
  const bool against = (second->ratio < 1 && wanted > currentReplicas) ||
                       (second->ratio > 1 && wanted < currentReplicas);
  if (!against) proposal.replicas = wanted;
  return proposal;
}

}  // namespace podlab::controllers
