#include "scheduler/topology.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "api/node_labels.hpp"
#include "api/selectors.hpp"
#include "api/taints.hpp"

namespace podlab::scheduler {
namespace {

constexpr std::string_view kSpread = "PodTopologySpread";
constexpr std::string_view kAffinity = "InterPodAffinity";
constexpr std::int64_t kMaxScore = 100;

/// Whether one pod counts for another's spread constraint.
bool countsPod(const SpreadConstraint& constraint, const PodShape& pod, const PodInfo& other) {
  return !other.isTerminating && other.shape->ns == pod.ns &&
         constraint.matches(other.shape->labels);
}

void addTo(DomainCounts& counts, const std::string& domain, std::int64_t difference) {
  const auto count = counts.try_emplace(domain, 0).first;
  count->second += difference;
  if (count->second == 0) counts.erase(count);
}

std::int64_t countIn(const DomainCounts& counts, const std::string& domain) {
  const auto found = counts.find(domain);
  return found == counts.end() ? 0 : found->second;
}

bool hasKeys(const NodeInfo& node, const std::vector<const SpreadConstraint*>& constraints) {
  return std::ranges::all_of(constraints, [&node](const SpreadConstraint* constraint) {
    return node.label(constraint->topologyKey) != nullptr;
  });
}

std::vector<const SpreadConstraint*> constraintsOf(const PodShape& pod, bool hard) {
  std::vector<const SpreadConstraint*> chosen;
  for (const auto& constraint : pod.terms.spread) {
    if (constraint.isHard == hard) chosen.push_back(&constraint);
  }
  return chosen;
}

}  // namespace

bool countsNode(const SpreadConstraint& constraint, const PodShape& pod, const NodeInfo& node) {
  if (constraint.honorsAffinity && !api::podAllowsNode(pod.spec, *node.node())) return false;
  return !constraint.honorsTaints ||
         api::firstUntolerated(node.node()->spec().taints(), pod.spec.tolerations(),
                               api::kNoSchedule, api::kNoExecute) == nullptr;
}

TopologyFilter::TopologyFilter(const PodInfo& pod, const Snapshot& snapshot)
    : pod_(&pod), namespaces_(&snapshot.namespaces()) {
  const PodShape& shape = *pod.shape;
  for (const auto* constraint : constraintsOf(shape, true))
    spread_.push_back({constraint, {}, constraint->matches(shape.labels) ? 1 : 0});
  affinity_.resize(shape.terms.affinity.size());
  antiAffinity_.resize(shape.terms.antiAffinity.size());
  matchesItself_ = shape.terms.matchesAffinity(shape.ns, shape.labels, *namespaces_);
  for (Snapshot::Slot slot = 0; slot < snapshot.slots(); ++slot) {
    const NodeInfo& node = snapshot.at(slot);
    if (node.node() == nullptr) continue;
    if (countsForSpread(node)) {
      for (auto& spread : spread_) {
        if (countsForSpread(spread, node))
          spread.counts.try_emplace(*node.label(spread.constraint->topologyKey), 0);
      }
    }
    for (const auto& other : node.pods()) count(*other, node, 1);
  }
}

/// Nodes without all of the keys count for none of the constraints.
bool TopologyFilter::countsForSpread(const NodeInfo& node) const {
  return std::ranges::all_of(spread_, [&node](const Spread& spread) {
    return node.label(spread.constraint->topologyKey) != nullptr;
  });
}

bool TopologyFilter::countsForSpread(const Spread& spread, const NodeInfo& node) const {
  return countsNode(*spread.constraint, *pod_->shape, node);
}

void TopologyFilter::count(const PodInfo& other, const NodeInfo& node, int difference) {
  const PodShape& shape = *pod_->shape;
  if (!spread_.empty() && countsForSpread(node)) {
    for (auto& spread : spread_) {
      if (countsPod(*spread.constraint, shape, other) && countsForSpread(spread, node))
        spread.counts[*node.label(spread.constraint->topologyKey)] += difference;
    }
  }
  if (!affinity_.empty() &&
      shape.terms.matchesAffinity(other.shape->ns, other.shape->labels, *namespaces_)) {
    for (std::size_t i = 0; i < affinity_.size(); ++i) {
      if (const auto* domain = node.label(shape.terms.affinity[i].topologyKey))
        addTo(affinity_[i], *domain, difference);
    }
  }
  for (std::size_t i = 0; i < antiAffinity_.size(); ++i) {
    const auto& term = shape.terms.antiAffinity[i];
    const auto* domain = node.label(term.topologyKey);
    if (domain != nullptr && term.matches(other.shape->ns, other.shape->labels, *namespaces_))
      addTo(antiAffinity_[i], *domain, difference);
  }
  for (const auto& term : other.shape->terms.antiAffinity) {
    const auto* domain = node.label(term.topologyKey);
    if (domain == nullptr || !term.matches(shape.ns, shape.labels, *namespaces_)) continue;
    addTo(existingAntiAffinity_[term.topologyKey], *domain, difference);
  }
}

TopologyFilter::Rejection TopologyFilter::reject(const NodeInfo& node) const {
  if (const Rejection rejection = rejectBySpread(node); !rejection.filter.empty()) return rejection;
  return rejectByAffinity(node);
}

TopologyFilter::Rejection TopologyFilter::rejectBySpread(const NodeInfo& node) const {
  for (const auto& spread : spread_) {
    const auto* domain = node.label(spread.constraint->topologyKey);
    if (domain == nullptr)
      return {kSpread,
              "node(s) didn't match pod topology spread constraints (missing required label)",
              false};
    std::int64_t least = 0;
    if (static_cast<std::int64_t>(spread.counts.size()) >= spread.constraint->minDomains &&
        !spread.counts.empty()) {
      least = std::ranges::min_element(spread.counts, {}, [](const auto& entry) {
                return entry.second;
              })->second;
    }
    if (countIn(spread.counts, *domain) + spread.self - least > spread.constraint->maxSkew)
      return {kSpread, "node(s) didn't match pod topology spread constraints"};
  }
  return {};
}

TopologyFilter::Rejection TopologyFilter::rejectByAffinity(const NodeInfo& node) const {
  const auto& terms = pod_->shape->terms;
  bool hasAll = true, hasKeys = true, nobody = true;
  for (std::size_t i = 0; i < affinity_.size(); ++i) {
    nobody = nobody && affinity_[i].empty();
    const auto* domain = node.label(terms.affinity[i].topologyKey);
    hasKeys = hasKeys && domain != nullptr;
    hasAll = hasAll && domain != nullptr && countIn(affinity_[i], *domain) > 0;
  }
  // The first pod of a group that wants to be together is let in.
  if (!hasAll && !(hasKeys && nobody && matchesItself_))
    return {kAffinity, "node(s) didn't match pod affinity rules", false};
  for (std::size_t i = 0; i < antiAffinity_.size(); ++i) {
    const auto* domain = node.label(terms.antiAffinity[i].topologyKey);
    if (domain != nullptr && countIn(antiAffinity_[i], *domain) > 0)
      return {kAffinity, "node(s) didn't match pod anti-affinity rules"};
  }
  for (const auto& [key, counts] : existingAntiAffinity_) {
    const auto* domain = node.label(key);
    if (domain != nullptr && countIn(counts, *domain) > 0)
      return {kAffinity, "node(s) didn't satisfy existing pods anti-affinity rules"};
  }
  return {};
}

double spreadTerm(std::int64_t count, std::size_t domains, std::int64_t maxSkew) {
  // libraries differ in the last bit of a logarithm: each is taken once, and rounded alike
  static const auto kLogarithms = [] {
    std::array<double, 64> table{};
    for (std::size_t i = 0; i < table.size(); ++i) table[i] = std::log(static_cast<double>(i + 2));
    return table;
  }();
  const double weight = domains < kLogarithms.size() ? kLogarithms[domains]
                                                     : std::log(static_cast<double>(domains + 2));
  return static_cast<double>(count) * weight + static_cast<double>(maxSkew - 1);
}

std::int64_t normalizedSpread(std::int64_t score, std::int64_t min, std::int64_t max) {
  return kMaxScore * (max + min - score) / max;
}

std::int64_t normalizedAffinity(std::int64_t score, std::int64_t min, std::int64_t max) {
  if (max == min) return 0;
  return static_cast<std::int64_t>(
      static_cast<double>(kMaxScore) *
      (static_cast<double>(score - min) / static_cast<double>(max - min)));
}

void addAffinityWeights(const PodShape& pod, const PodShape& placed,
                        const NamespaceLabels& namespaces,
                        std::map<std::string, std::int64_t>& weightByKey) {
  for (const auto& [weight, term] : pod.terms.preferred) {
    if (term.matches(placed.ns, placed.labels, namespaces)) weightByKey[term.topologyKey] += weight;
  }
  for (const auto& term : placed.terms.affinity) {
    if (term.matches(pod.ns, pod.labels, namespaces)) weightByKey[term.topologyKey] += 1;
  }
  for (const auto& [weight, term] : placed.terms.preferred) {
    if (term.matches(pod.ns, pod.labels, namespaces)) weightByKey[term.topologyKey] += weight;
  }
}

TopologyScores::TopologyScores(const PodInfo& pod, const Snapshot& snapshot,
                               const std::vector<Snapshot::Slot>& feasible) {
  scoreSpread(pod, snapshot, feasible);
  scoreAffinity(pod, snapshot, feasible);
}

void TopologyScores::scoreSpread(const PodInfo& pod, const Snapshot& snapshot,
                                 const std::vector<Snapshot::Slot>& feasible) {
  const PodShape& shape = *pod.shape;
  const auto constraints = constraintsOf(shape, false);
  if (constraints.empty()) return;
  // Default constraints count nodes without a zone too.
  const auto isCounted = [&](const NodeInfo& node) {
    return shape.terms.spreadIsDefault || hasKeys(node, constraints);
  };
  std::vector<DomainCounts> counts(constraints.size());
  std::vector<std::size_t> domains(constraints.size(), 0);
  std::size_t counted = 0;
  for (const auto slot : feasible) {
    const NodeInfo& node = snapshot.at(slot);
    if (!isCounted(node)) continue;
    ++counted;
    for (std::size_t c = 0; c < constraints.size(); ++c) {
      if (const auto* domain = node.label(constraints[c]->topologyKey))
        counts[c].try_emplace(*domain, 0);
    }
  }
  const auto podsOn = [&](const NodeInfo& node, const SpreadConstraint& constraint) {
    return std::ranges::count_if(
        node.pods(), [&](const auto& other) { return countsPod(constraint, shape, *other); });
  };
  for (std::size_t c = 0; c < constraints.size(); ++c) {
    const bool isHost = constraints[c]->topologyKey == api::kHostnameLabel;
    domains[c] = isHost ? counted : counts[c].size();
    if (isHost) continue;
    for (Snapshot::Slot slot = 0; slot < snapshot.slots(); ++slot) {
      const NodeInfo& node = snapshot.at(slot);
      if (node.node() == nullptr || !isCounted(node) || !countsNode(*constraints[c], shape, node))
        continue;
      const auto* domain = node.label(constraints[c]->topologyKey);
      if (domain == nullptr) continue;
      const auto found = counts[c].find(*domain);
      if (found != counts[c].end()) found->second += podsOn(node, *constraints[c]);
    }
  }
  spread_.resize(feasible.size(), 0);
  std::vector<bool> ignored(feasible.size(), false);
  std::int64_t min = std::numeric_limits<std::int64_t>::max(), max = 0;
  for (std::size_t i = 0; i < feasible.size(); ++i) {
    const NodeInfo& node = snapshot.at(feasible[i]);
    ignored[i] = !isCounted(node);
    if (ignored[i]) continue;
    double score = 0;
    for (std::size_t c = 0; c < constraints.size(); ++c) {
      const auto* domain = node.label(constraints[c]->topologyKey);
      if (domain == nullptr) continue;
      const std::int64_t count = constraints[c]->topologyKey == api::kHostnameLabel
                                     ? podsOn(node, *constraints[c])
                                     : counts[c].at(*domain);
      score += spreadTerm(count, domains[c], constraints[c]->maxSkew);
    }
    spread_[i] = static_cast<std::int64_t>(std::round(score));
    min = std::min(min, spread_[i]);
    max = std::max(max, spread_[i]);
  }
  for (std::size_t i = 0; i < feasible.size(); ++i) {
    if (ignored[i]) continue;
    spread_[i] = max == 0 ? kMaxScore : normalizedSpread(spread_[i], min, max);
  }
}

void TopologyScores::scoreAffinity(const PodInfo& pod, const Snapshot& snapshot,
                                   const std::vector<Snapshot::Slot>& feasible) {
  std::map<std::string, DomainCounts> sums;
  for (Snapshot::Slot slot = 0; slot < snapshot.slots(); ++slot) {
    const NodeInfo& node = snapshot.at(slot);
    if (node.node() == nullptr) continue;
    std::map<std::string, std::int64_t> weights;
    for (const auto& other : node.pods())
      addAffinityWeights(*pod.shape, *other->shape, snapshot.namespaces(), weights);
    for (const auto& [key, weight] : weights) {
      if (const auto* domain = node.label(key)) sums[key][*domain] += weight;
    }
  }
  if (sums.empty()) return;
  affinity_.resize(feasible.size(), 0);
  std::int64_t min = std::numeric_limits<std::int64_t>::max();
  std::int64_t max = std::numeric_limits<std::int64_t>::min();
  for (std::size_t i = 0; i < feasible.size(); ++i) {
    for (const auto& [key, byDomain] : sums) {
      if (const auto* domain = snapshot.at(feasible[i]).label(key))
        affinity_[i] += countIn(byDomain, *domain);
    }
    min = std::min(min, affinity_[i]);
    max = std::max(max, affinity_[i]);
  }
  for (auto& score : affinity_) score = normalizedAffinity(score, min, max);
}

}  // namespace podlab::scheduler
