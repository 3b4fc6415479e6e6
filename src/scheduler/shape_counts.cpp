#include "scheduler/shape_counts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "api/node_labels.hpp"

namespace podlab::scheduler {

bool concerns(const PodShape& bearer, const PodShape& pod, const NamespaceLabels& namespaces) {
  const auto matches = [&](const PodAffinityTerm& term) {
    return term.matches(pod.ns, pod.labels, namespaces);
  };
  return std::ranges::any_of(bearer.terms.affinity, matches) ||
         std::ranges::any_of(bearer.terms.antiAffinity, matches) ||
         std::ranges::any_of(bearer.terms.preferred, matches, &WeightedPodAffinityTerm::term);
}

ShapeCounts::ShapeCounts(std::shared_ptr<const PodShape> shape,
                         const std::vector<std::shared_ptr<const PodShape>>& bearers,
                         const Snapshot& snapshot, const NodeGrid& grid,
                         const std::map<std::string, LabelLayout>& layouts)
    : shape_(std::move(shape)), snapshot_(snapshot), grid_(grid) {
  const PodTerms& terms = shape_->terms;
  matchesItself_ = terms.matchesAffinity(shape_->ns, shape_->labels, snapshot.namespaces());
  for (std::size_t i = 0; i < terms.spread.size(); ++i) {
    const auto purpose = terms.spread[i].isHard ? Purpose::kHardSpread : Purpose::kSoftSpread;
    addCounter(purpose, i, terms.spread[i].topologyKey, layouts);
  }
  for (std::size_t i = 0; i < terms.affinity.size(); ++i)
    addCounter(Purpose::kAffinity, i, terms.affinity[i].topologyKey, layouts);
  for (std::size_t i = 0; i < terms.antiAffinity.size(); ++i)
    addCounter(Purpose::kAntiAffinity, i, terms.antiAffinity[i].topologyKey, layouts);
  std::set<std::string> forbidden, scored;
  for (const auto& [weight, term] : terms.preferred) scored.insert(term.topologyKey);
  for (const auto& bearer : bearers) {
    for (const auto& term : bearer->terms.antiAffinity) forbidden.insert(term.topologyKey);
    for (const auto& term : bearer->terms.affinity) scored.insert(term.topologyKey);
    for (const auto& [weight, term] : bearer->terms.preferred) scored.insert(term.topologyKey);
  }
  for (const auto& key : forbidden) addCounter(Purpose::kExistingAntiAffinity, 0, key, layouts);
  for (const auto& key : scored) addCounter(Purpose::kAffinityScore, 0, key, layouts);

  const std::size_t profiles = grid_.profiles().size();
  // Nodes without all keys of the hard constraints count for none of these, and likewise soft
  // ones, unless they are the defaults.
  for (auto& counter : counters_) {
    counter.counts.assign(profiles, true);
    const bool isHard = counter.purpose == Purpose::kHardSpread;
    if (!isHard && counter.purpose != Purpose::kSoftSpread) continue;
    for (ProfileId profile = 0; profile < profiles; ++profile) {
      const bool hasAll = std::ranges::all_of(counters_, [&](const Counter& other) {
        return other.purpose != counter.purpose || hasLabel(other, profile);
      });
      counter.counts[profile] =
          (hasAll || (!isHard && terms.spreadIsDefault)) &&
          countsNode(terms.spread[counter.index], *shape_, grid_.profiles()[profile].sample());
    }
  }
  level_.assign(snapshot.slots(), 0);
  fits_.assign(snapshot.slots(), 0);
  levelOf(std::vector<std::int64_t>(dimensions_, 0));
  for (Snapshot::Slot slot = 0; slot < snapshot.slots(); ++slot) {
    const ProfileId profile = grid_.profileOf(slot);
    if (profile == NodeGrid::kNoProfile) continue;
    levels_[0].nodes.insert(slot);
    ++levels_[0].nodesOf[profile];
  }
}

void ShapeCounts::addCounter(Purpose purpose, std::size_t index, const std::string& key,
                             const std::map<std::string, LabelLayout>& layouts) {
  Counter counter;
  counter.purpose = purpose;
  counter.index = index;
  counter.key = key;
  counter.perNode = layouts.at(key) == LabelLayout::kNode;
  if (counter.perNode) {
    counter.dimension = dimensions_++;
  } else {
    std::map<std::string, int> domains;
    for (const auto& profile : grid_.profiles()) {
      const std::string* value = profile.sample().label(key);
      counter.domain.push_back(
          value == nullptr
              ? -1
              : domains.try_emplace(*value, static_cast<int>(domains.size())).first->second);
    }
    counter.values.assign(domains.size(), 0);
  }
  counters_.push_back(std::move(counter));
}

std::int64_t ShapeCounts::weightOf(const Counter& counter, const PodShape& other) const {
  const auto& namespaces = snapshot_.namespaces();
  switch (counter.purpose) {
    case Purpose::kHardSpread:
    case Purpose::kSoftSpread:
      return other.ns == shape_->ns && shape_->terms.spread[counter.index].matches(other.labels);
    case Purpose::kAffinity:
      return shape_->terms.matchesAffinity(other.ns, other.labels, namespaces);
    case Purpose::kAntiAffinity:
      return shape_->terms.antiAffinity[counter.index].matches(other.ns, other.labels, namespaces);
    case Purpose::kExistingAntiAffinity:
      return std::ranges::count_if(other.terms.antiAffinity, [&](const PodAffinityTerm& term) {
        return term.topologyKey == counter.key &&
               term.matches(shape_->ns, shape_->labels, namespaces);
      });
    case Purpose::kAffinityScore: {
      std::map<std::string, std::int64_t> weightByKey;
      addAffinityWeights(*shape_, other, namespaces, weightByKey);
      const auto found = weightByKey.find(counter.key);
      return found == weightByKey.end() ? 0 : found->second;
    }
  }
  return 0;
}

bool ShapeCounts::watch(const PodShape& other) {
  std::vector<Weight> weights;
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    const std::int64_t weight = weightOf(counters_[i], other);
    if (weight != 0) weights.push_back({i, weight});
  }
  if (weights.empty()) return false;
  weights_[&other] = std::move(weights);
  return true;
}

void ShapeCounts::countAll(const PodShape& other, NodeBits& nodes) {
  nodes.retain([&](Snapshot::Slot slot) {
    bool hasSome = false;
    for (const auto& pod : snapshot_.at(slot).pods()) {
      if (pod->shape.get() != &other) continue;
      count(slot, *pod, 1);
      hasSome = true;
    }
    return hasSome;
  });
}

void ShapeCounts::count(Snapshot::Slot slot, const PodInfo& pod, int difference) {
  const ProfileId profile = grid_.profileOf(slot);
  if (profile == NodeGrid::kNoProfile) return;
  std::vector<std::int64_t> values;
  for (const auto& [index, weight] : weights_.at(pod.shape.get())) {
    Counter& counter = counters_[index];
    const bool isSpread =
        counter.purpose == Purpose::kHardSpread || counter.purpose == Purpose::kSoftSpread;
    if (isSpread && pod.isTerminating) continue;
    if (!counter.counts[profile] || !hasLabel(counter, profile)) continue;
    const std::int64_t change = difference * weight;
    counter.total += change;
    if (counter.perNode) {
      if (values.empty()) values = levels_[level_[slot]].values;
      values[counter.dimension] += change;
    } else {
      counter.values[static_cast<std::size_t>(counter.domain[profile])] += change;
    }
  }
  if (values.empty() || values == levels_[level_[slot]].values) return;
  const Level next = levelOf(std::move(values));
  LevelNodes& from = levels_[level_[slot]];
  LevelNodes& to = levels_[next];
  from.nodes.erase(slot);
  to.nodes.insert(slot);
  --from.nodesOf[profile];
  ++to.nodesOf[profile];
  from.fitsOf[profile] -= fits_[slot];
  to.fitsOf[profile] += fits_[slot];
  level_[slot] = next;
}

ShapeCounts::Level ShapeCounts::levelOf(std::vector<std::int64_t> values) {
  const auto [known, isNew] =
      levelByValues_.try_emplace(std::move(values), static_cast<Level>(levels_.size()));
  if (isNew) {
    auto& level = levels_.emplace_back();
    level.values = known->first;
    level.nodesOf.assign(grid_.profiles().size(), 0);
    level.fitsOf.assign(grid_.profiles().size(), 0);
  }
  return known->second;
}

void ShapeCounts::updateFit(Snapshot::Slot slot) {
  const ProfileId profile = grid_.profileOf(slot);
  if (profile == NodeGrid::kNoProfile) return;
  const std::uint8_t fits = grid_.fits(*shape_, slot) ? 1 : 0;
  if (fits == fits_[slot]) return;
  auto& count = levels_[level_[slot]].fitsOf[profile];
  count = count + fits - fits_[slot];
  fits_[slot] = fits;
}

void ShapeCounts::updateAllFits() {
  for (Snapshot::Slot slot = 0; slot < fits_.size(); ++slot) updateFit(slot);
}

std::int64_t ShapeCounts::valueAt(const Counter& counter, ProfileId profile, Level level) const {
  if (counter.perNode) return levels_[level].values[counter.dimension];
  const int domain = counter.domain[profile];
  return domain < 0 ? 0 : counter.values[static_cast<std::size_t>(domain)];
}

/// The fewest matching pods of any domain; 0 while there are fewer domains than there are to be.
std::int64_t ShapeCounts::leastOf(const Counter& counter) const {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  std::size_t domains = 0;
  std::vector<bool> seen(counter.values.size(), false);
  for (ProfileId profile = 0; profile < counter.counts.size(); ++profile) {
    if (!counter.counts[profile] || grid_.profiles()[profile].nodes() == 0) continue;
    if (!counter.perNode) {
      const auto domain = static_cast<std::size_t>(counter.domain[profile]);
      if (!seen[domain]) ++domains;
      seen[domain] = true;
      least = std::min(least, counter.values[domain]);
      continue;
    }
    for (const auto& level : levels_) {
      if (level.nodesOf[profile] == 0) continue;
      domains += level.nodesOf[profile];
      least = std::min(least, level.values[counter.dimension]);
    }
  }
  const auto& constraint = shape_->terms.spread[counter.index];
  const bool enough = static_cast<std::int64_t>(domains) >= constraint.minDomains && domains > 0;
  return enough ? least : 0;
}

bool ShapeCounts::passesSpread(ProfileId profile, Level level,
                               const std::vector<std::int64_t>& least) const {
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    const Counter& counter = counters_[i];
    if (counter.purpose != Purpose::kHardSpread) continue;
    if (!hasLabel(counter, profile)) return false;
    const auto& constraint = shape_->terms.spread[counter.index];
    const std::int64_t self = constraint.matches(shape_->labels) ? 1 : 0;
    if (valueAt(counter, profile, level) + self - least[i] > constraint.maxSkew) return false;
  }
  return true;
}

bool ShapeCounts::passesAffinity(ProfileId profile, Level level) const {
  bool hasAll = true, hasKeys = true, nobody = true;
  for (const auto& counter : counters_) {
    const bool hasKey = hasLabel(counter, profile);
    switch (counter.purpose) {
      case Purpose::kAffinity:
        nobody = nobody && counter.total == 0;
        hasKeys = hasKeys && hasKey;
        hasAll = hasAll && hasKey && valueAt(counter, profile, level) > 0;
        break;
      case Purpose::kAntiAffinity:
      case Purpose::kExistingAntiAffinity:
        if (hasKey && valueAt(counter, profile, level) > 0) return false;
        break;
      default:
        break;
    }
  }
  return hasAll || (hasKeys && nobody && matchesItself_);
}

struct ShapeCounts::Candidate {
  Group group;
  Level level = 0;
  std::size_t fits = 0;  ///< nodes
};

void ShapeCounts::scoreSpread(std::vector<Candidate>& candidates) const {
  std::vector<const Counter*> soft;
  for (const auto& counter : counters_) {
    if (counter.purpose == Purpose::kSoftSpread) soft.push_back(&counter);
  }
  if (soft.empty()) return;
  const auto isCounted = [&](const Candidate& candidate) {
    return shape_->terms.spreadIsDefault || std::ranges::all_of(soft, [&](const Counter* counter) {
             return hasLabel(*counter, candidate.group.profile);
           });
  };
  std::size_t nodes = 0;
  for (const auto& candidate : candidates) nodes += isCounted(candidate) ? candidate.fits : 0;
  std::vector<std::size_t> domains;
  for (const auto* counter : soft) {
    if (counter->perNode || counter->key == api::kHostnameLabel) {
      domains.push_back(nodes);
      continue;
    }
    std::set<int> seen;
    for (const auto& candidate : candidates) {
      if (isCounted(candidate) && hasLabel(*counter, candidate.group.profile))
        seen.insert(counter->domain[candidate.group.profile]);
    }
    domains.push_back(seen.size());
  }
  std::int64_t min = std::numeric_limits<std::int64_t>::max(), max = 0;
  for (auto& candidate : candidates) {
    if (!isCounted(candidate)) continue;
    double score = 0;
    for (std::size_t i = 0; i < soft.size(); ++i) {
      if (!hasLabel(*soft[i], candidate.group.profile)) continue;
      score += spreadTerm(valueAt(*soft[i], candidate.group.profile, candidate.level), domains[i],
                          shape_->terms.spread[soft[i]->index].maxSkew);
    }
    candidate.group.spread = static_cast<std::int64_t>(std::round(score));
    min = std::min(min, candidate.group.spread);
    max = std::max(max, candidate.group.spread);
  }
  for (auto& candidate : candidates) {
    if (!isCounted(candidate)) continue;
    auto& spread = candidate.group.spread;
    spread = max == 0 ? 100 : normalizedSpread(spread, min, max);
  }
}

void ShapeCounts::scoreAffinity(std::vector<Candidate>& candidates) const {
  std::int64_t min = std::numeric_limits<std::int64_t>::max();
  std::int64_t max = std::numeric_limits<std::int64_t>::min();
  for (auto& [group, level, fits] : candidates) {
    for (const auto& counter : counters_) {
      if (counter.purpose == Purpose::kAffinityScore)
        group.affinity += valueAt(counter, group.profile, level);
    }
    min = std::min(min, group.affinity);
    max = std::max(max, group.affinity);
  }
  for (auto& candidate : candidates)
    candidate.group.affinity = normalizedAffinity(candidate.group.affinity, min, max);
}

std::vector<ShapeCounts::Group> ShapeCounts::groups(const std::vector<bool>& eligible) const {
  std::vector<std::int64_t> least(counters_.size(), 0);
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    if (counters_[i].purpose == Purpose::kHardSpread) least[i] = leastOf(counters_[i]);
  }
  std::vector<Candidate> candidates;
  for (ProfileId profile = 0; profile < grid_.profiles().size(); ++profile) {
    if (!eligible[profile]) continue;
    for (Level level = 0; level < levels_.size(); ++level) {
      const std::size_t fits = levels_[level].fitsOf[profile];
      if (fits == 0 || !passesSpread(profile, level, least) || !passesAffinity(profile, level))
        continue;
      const bool isAll = levels_[level].nodesOf[profile] == grid_.profiles()[profile].nodes();
      candidates.push_back({{profile, isAll ? nullptr : &levels_[level].nodes, 0, 0}, level, fits});
    }
  }
  scoreSpread(candidates);
  scoreAffinity(candidates);
  std::vector<Group> groups;
  groups.reserve(candidates.size());
  for (const auto& candidate : candidates) groups.push_back(candidate.group);
  return groups;
}

}  // namespace podlab::scheduler
