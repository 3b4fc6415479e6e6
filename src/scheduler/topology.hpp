#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/node_info.hpp"

namespace podlab::scheduler {

/// Counts by the value of a label: the nodes that have the same value are one domain.
using DomainCounts = std::map<std::string, std::int64_t>;

/// Whether nodes like this one count for a constraint of the pod: its own node affinity and the
/// node's taints allow it, as far as the constraint's policies honour these.
bool countsNode(const SpreadConstraint& constraint, const PodShape& pod, const NodeInfo& node);

/// How a pod's required terms stand over all nodes, by counting the pods that are there
/// (podtopologyspread/filtering.go, interpodaffinity/filtering.go).
class TopologyFilter {
 public:
  TopologyFilter(const PodInfo& pod, const Snapshot& snapshot);

  /// A pod comes to, or leaves, a node: as if counted anew.
  void count(const PodInfo& other, const NodeInfo& node, int difference);

  /// Why the node is out; empty when it passes. The reasons that other pods' leaving cannot mend
  /// are unresolvable.
  struct Rejection {
    std::string_view filter;
    std::string_view reason;
    bool resolvable = true;
  };
  Rejection reject(const NodeInfo& node) const;

 private:
  struct Spread {
    const SpreadConstraint* constraint;
    DomainCounts counts;  ///< of each domain that counts
    std::int64_t self = 0;
  };
  Rejection rejectBySpread(const NodeInfo& node) const;
  Rejection rejectByAffinity(const NodeInfo& node) const;
  bool countsForSpread(const NodeInfo& node) const;
  bool countsForSpread(const Spread& spread, const NodeInfo& node) const;

  const PodInfo* pod_;
  const NamespaceLabels* namespaces_;
  std::vector<Spread> spread_;
  std::vector<DomainCounts> affinity_;  ///< by term
  std::vector<DomainCounts> antiAffinity_;
  std::map<std::string, DomainCounts> existingAntiAffinity_;  ///< by topology key
  bool matchesItself_ = false;
};

/// Scores by where other pods are, over the nodes that passed the filters
/// (podtopologyspread/scoring.go, interpodaffinity/scoring.go). Normalised to 0..100.
class TopologyScores {
 public:
  TopologyScores(const PodInfo& pod, const Snapshot& snapshot,
                 const std::vector<Snapshot::Slot>& feasible);
  /// Of the i-th feasible node.
  std::int64_t spread(std::size_t i) const { return spread_.empty() ? 0 : spread_[i]; }
  std::int64_t affinity(std::size_t i) const { return affinity_.empty() ? 0 : affinity_[i]; }

 private:
  void scoreSpread(const PodInfo& pod, const Snapshot& snapshot,
                   const std::vector<Snapshot::Slot>& feasible);
  void scoreAffinity(const PodInfo& pod, const Snapshot& snapshot,
                     const std::vector<Snapshot::Slot>& feasible);

  std::vector<std::int64_t> spread_;
  std::vector<std::int64_t> affinity_;
};

/// 100 * (max + min - s) / max, floored: fewer matching pods are better. `max` is not 0.
std::int64_t normalizedSpread(std::int64_t score, std::int64_t min, std::int64_t max);
/// 100 * (s - min) / (max - min), floored; 0 when all are alike.
std::int64_t normalizedAffinity(std::int64_t score, std::int64_t min, std::int64_t max);
/// The weight of a domain with `count` matching pods: count * ln(domains + 2) + maxSkew - 1.
double spreadTerm(std::int64_t count, std::size_t domains, std::int64_t maxSkew);

/// What `placed` adds to `pod`'s score for each domain of the key that it is in: the weights of
/// pod's preferred terms that match it, and of its own terms that match pod (a required affinity
/// of it counts as 1: hardPodAffinityWeight).
void addAffinityWeights(const PodShape& pod, const PodShape& placed,
                        const NamespaceLabels& namespaces,
                        std::map<std::string, std::int64_t>& weightByKey);

}  // namespace podlab::scheduler
