#include "scheduler/node_index.hpp"

#include <algorithm>
#include <unordered_set>

#include "api/node_labels.hpp"
#include "scheduler/filters.hpp"

namespace podlab::scheduler {
namespace {

/// Shapes that are kept ready; beyond, all are made anew as they are asked for.
constexpr std::size_t kMostShapes = 8192;
/// What it costs to score all nodes must pay.
constexpr std::uint32_t kTimeAndAgain = 4;
/// Scores are kept for each profile.
constexpr std::size_t kMostScoredProfiles = 64;
/// Profiles without nodes that are borne with.
constexpr std::size_t kStaleProfiles = 256;

bool hasAffinityTerms(const PodShape& shape) {
  return !shape.terms.affinity.empty() || !shape.terms.antiAffinity.empty() ||
         !shape.terms.preferred.empty();
}

/// The labels of nodes that the pod's own rules name; nullopt when a rule names a field instead.
std::optional<std::set<std::string>> labelsAskedFor(const PodShape& shape) {
  std::set<std::string> keys;
  for (const auto& [key, value] : shape.spec.nodeselector()) keys.insert(key);
  const auto& affinity = shape.spec.affinity().nodeaffinity();
  const auto add = [&keys](const corev1::NodeSelectorTerm& term) {
    for (const auto& expression : term.matchexpressions()) keys.insert(expression.key());
    return term.matchfields().empty();
  };
  for (const auto& term :
       affinity.requiredduringschedulingignoredduringexecution().nodeselectorterms()) {
    if (!add(term)) return std::nullopt;
  }
  for (const auto& weighted : affinity.preferredduringschedulingignoredduringexecution()) {
    if (!add(weighted.preference())) return std::nullopt;
  }
  return keys;
}

std::set<std::string> topologyKeysOf(const PodTerms& terms) {
  std::set<std::string> keys;
  for (const auto& constraint : terms.spread) keys.insert(constraint.topologyKey);
  for (const auto& term : terms.affinity) keys.insert(term.topologyKey);
  for (const auto& term : terms.antiAffinity) keys.insert(term.topologyKey);
  for (const auto& weighted : terms.preferred) keys.insert(weighted.term.topologyKey);
  return keys;
}

}  // namespace

struct NodeIndex::ShapeState {
  std::shared_ptr<const PodShape> shape;
  bool isScanned = false;  ///< left to the plain scan
  std::uint64_t nodesVersion = 0;
  std::uint64_t bearersVersion = 0;
  std::uint64_t countsAt = 0;  ///< as of which change the counts are
  std::uint64_t scoresAt = 0;  ///< likewise
  std::uint64_t askedAt = 0;
  std::uint32_t soon = 0;  ///< how many times in a row it was asked for soon again
  // By profile.
  std::vector<bool> eligible;
  std::vector<std::int64_t> taints;
  std::vector<std::int64_t> weight;
  std::vector<std::int64_t> image;
  bool hasTaints = false;                                ///< some eligible profile has
  bool hasWeights = false;                               ///< likewise
  std::vector<std::shared_ptr<const PodShape>> bearers;  ///< with terms about this shape
  std::unique_ptr<ShapeCounts> counts;                   ///< null: there is nothing to count
  std::unique_ptr<UseScores> scores;                     ///< null: they are not kept
};

NodeIndex::NodeIndex(const Snapshot& snapshot, Options options)
    : snapshot_(snapshot), options_(options), grid_(snapshot) {}
NodeIndex::~NodeIndex() = default;

std::string NodeIndex::ownLabelsOf(Snapshot::Slot slot) const {
  std::string text;
  if (slot >= snapshot_.slots() || snapshot_.at(slot).node() == nullptr) return text;
  for (const auto& [key, layout] : layouts_) {
    if (layout == LabelLayout::kFew) continue;
    const std::string* value = snapshot_.at(slot).label(key);
    text += value == nullptr ? "-" : '=' + *value + '\0';
  }
  return text;
}

void NodeIndex::nodeChanged(Snapshot::Slot slot) {
  if (slot >= ownLabels_.size()) ownLabels_.resize(slot + 1);
  std::string own = ownLabelsOf(slot);
  const bool isOther = own != ownLabels_[slot];
  ownLabels_[slot] = std::move(own);
  if (grid_.updateNode(slot) || isOther) ++nodesVersion_;
  noteFit(slot);
}

void NodeIndex::namespacesChanged() {
  forgetShapes();
}

void NodeIndex::noteFit(Snapshot::Slot slot) {
  // Who is further behind than all nodes looks at all of them.
  if (changes_.size() >= 2 * std::max<std::size_t>(snapshot_.slots(), 64)) {
    const std::size_t half = changes_.size() / 2;
    changes_.erase(changes_.begin(), changes_.begin() + static_cast<std::ptrdiff_t>(half));
    changesBefore_ += half;
  }
  changes_.push_back(slot);
}

void NodeIndex::podAdded(Snapshot::Slot slot, const PodInfo& pod) {
  podChanged(slot, pod, 1);
}

void NodeIndex::podRemoved(Snapshot::Slot slot, const PodInfo& pod) {
  podChanged(slot, pod, -1);
}

void NodeIndex::podChanged(Snapshot::Slot slot, const PodInfo& pod, int difference) {
  if (grid_.profileOf(slot) != NodeGrid::kNoProfile) {
    grid_.updateUse(slot);
    noteFit(slot);
  }
  const auto [entry, isNew] = placed_.try_emplace(pod.shape.get());
  PlacedShape& placed = entry->second;
  if (isNew) {
    placed.shape = pod.shape;
    if (hasAffinityTerms(*pod.shape)) {
      bearers_.push_back(pod.shape);
      ++bearersVersion_;
    }
    for (const auto& [shape, state] : shapes_) {
      if (state->counts != nullptr && state->counts->watch(*pod.shape))
        placed.concerned.push_back(state.get());
    }
  }
  for (ShapeState* state : placed.concerned) {
    // Counts that are out of date are made anew before they are used.
    if (state->nodesVersion == nodesVersion_) state->counts->count(slot, pod, difference);
  }
  if (difference > 0) {
    ++placed.pods;
    placed.nodes.insert(slot);
    return;
  }
  if (--placed.pods > 0) return;
  if (hasAffinityTerms(*pod.shape)) {
    std::erase(bearers_, pod.shape);
    ++bearersVersion_;
  }
  for (const auto& [shape, state] : shapes_) {
    if (state->counts != nullptr) state->counts->forget(pod.shape.get());
  }
  placed_.erase(entry);
}

LabelLayout NodeIndex::layoutOf(const std::string& key) const {
  std::unordered_set<std::string> values;
  bool isNodesOwn = true;
  for (Snapshot::Slot slot = 0; slot < snapshot_.slots(); ++slot) {
    if (snapshot_.at(slot).node() == nullptr) continue;
    const std::string* value = snapshot_.at(slot).label(key);
    if (value == nullptr || !values.insert(*value).second) isNodesOwn = false;
  }
  if (values.size() > options_.mostValues)
    return isNodesOwn ? LabelLayout::kNode : LabelLayout::kNeither;
  // The number of nodes stands for the number of hosts.
  return key == api::kHostnameLabel && !isNodesOwn ? LabelLayout::kNeither : LabelLayout::kFew;
}

/// True when nodes were sorted anew, and what was kept of shapes is gone.
bool NodeIndex::refreshLayouts(const PodShape& shape) {
  bool changed = false;
  if (layoutsVersion_ != nodesVersion_) {
    for (auto& [key, layout] : layouts_) {
      const LabelLayout now = layoutOf(key);
      changed = changed || (now == LabelLayout::kFew) != (layout == LabelLayout::kFew);
      layout = now;
    }
    layoutsVersion_ = nodesVersion_;
    const auto stale = std::ranges::count(grid_.profiles(), 0u, &NodeGrid::Profile::nodes);
    changed = changed || static_cast<std::size_t>(stale) > kStaleProfiles;
  }
  const auto want = [&](const std::string& key) {
    const auto [entry, isNew] = layouts_.try_emplace(key, LabelLayout::kFew);
    if (!isNew) return;
    entry->second = layoutOf(key);
    changed = changed || entry->second == LabelLayout::kFew;
  };
  if (const auto asked = labelsAskedFor(shape)) std::ranges::for_each(*asked, want);
  std::ranges::for_each(topologyKeysOf(shape.terms), want);
  for (const auto& bearer : bearers_) std::ranges::for_each(topologyKeysOf(bearer->terms), want);
  if (!changed) return false;
  std::set<std::string> labels;
  for (const auto& [key, layout] : layouts_) {
    if (layout == LabelLayout::kFew) labels.insert(key);
  }
  grid_.setLabels(std::move(labels));
  ++nodesVersion_;
  layoutsVersion_ = nodesVersion_;
  forgetShapes();
  return true;
}

void NodeIndex::forgetShapes() {
  shapes_.clear();
  for (auto& [shape, placed] : placed_) placed.concerned.clear();
}

NodeIndex::ShapeState& NodeIndex::stateOf(const PodInfo& pod) {
  if (shapes_.size() >= kMostShapes && !shapes_.contains(pod.shape.get())) forgetShapes();
  auto found = shapes_.find(pod.shape.get());
  const bool isCurrent = found != shapes_.end() && layoutsVersion_ == nodesVersion_ &&
                         found->second->bearersVersion == bearersVersion_;
  if (!isCurrent) {
    refreshLayouts(*pod.shape);
    found = shapes_.try_emplace(pod.shape.get()).first;
    if (found->second == nullptr) {
      found->second = std::make_unique<ShapeState>();
      found->second->shape = pod.shape;
    }
  }
  refresh(*found->second, pod);
  return *found->second;
}

void NodeIndex::refresh(ShapeState& state, const PodInfo& pod) {
  const bool nodesChanged = state.nodesVersion != nodesVersion_;
  if (nodesChanged) state.scores = nullptr;
  // Images are part of profiles.
  if (nodesChanged) {
    const auto& profiles = grid_.profiles();
    state.eligible.assign(profiles.size(), false);
    state.taints.assign(profiles.size(), 0);
    state.weight.assign(profiles.size(), 0);
    state.image.assign(profiles.size(), 0);
    state.hasTaints = state.hasWeights = false;
    for (std::size_t i = 0; i < profiles.size(); ++i) {
      const NodeInfo& sample = profiles[i].sample();
      if (profiles[i].nodes() == 0 || !runFilters(pod, sample).filter.empty()) continue;
      state.eligible[i] = true;
      state.taints[i] = softTaints(*pod.shape, sample);
      state.weight[i] = preferredAffinity(*pod.shape, sample);
      state.image[i] = imageScore(*pod.shape, sample, snapshot_);
      state.hasTaints = state.hasTaints || state.taints[i] != 0;
      state.hasWeights = state.hasWeights || state.weight[i] != 0;
    }
  }
  if (nodesChanged || state.bearersVersion != bearersVersion_) refreshCounts(state);
  if (state.counts == nullptr) return;
  if (state.countsAt < changesBefore_ || now() - state.countsAt > snapshot_.slots()) {
    state.counts->updateAllFits();
  } else {
    for (std::uint64_t i = state.countsAt; i < now(); ++i)
      state.counts->updateFit(changes_[i - changesBefore_]);
  }
  state.countsAt = now();
}

const UseScores* NodeIndex::refreshScores(ShapeState& state, ResourceScoring resources) {
  const bool isSoon = now() - state.askedAt <= options_.often;
  state.askedAt = now();
  state.soon = isSoon ? state.soon + 1 : 0;
  if (state.soon < kTimeAndAgain || grid_.profiles().size() > kMostScoredProfiles) {
    state.scores = nullptr;
    return nullptr;
  }
  const bool isBehind =
      state.scoresAt < changesBefore_ || now() - state.scoresAt > snapshot_.slots();
  if (state.scores == nullptr || state.scores->resources() != resources || isBehind) {
    state.scores = std::make_unique<UseScores>(*state.shape, grid_, snapshot_.slots(), resources);
  } else {
    for (std::uint64_t i = state.scoresAt; i < now(); ++i)
      state.scores->update(changes_[i - changesBefore_]);
  }
  state.scoresAt = now();
  return state.scores.get();
}

void NodeIndex::refreshCounts(ShapeState& state) {
  const PodShape& shape = *state.shape;
  std::vector<std::shared_ptr<const PodShape>> bearers;
  for (const auto& bearer : bearers_) {
    if (concerns(*bearer, shape, snapshot_.namespaces())) bearers.push_back(bearer);
  }
  const bool same = state.nodesVersion == nodesVersion_ && state.bearers == bearers;
  state.nodesVersion = nodesVersion_;
  state.bearersVersion = bearersVersion_;
  if (same) return;
  state.bearers = std::move(bearers);

  const auto asked = labelsAskedFor(shape);
  const auto isFew = [this](const std::string& key) {
    return layouts_.at(key) == LabelLayout::kFew;
  };
  const auto isCounted = [this](const PodShape& each) {
    return std::ranges::none_of(topologyKeysOf(each.terms), [this](const std::string& key) {
      return layouts_.at(key) == LabelLayout::kNeither;
    });
  };
  state.isScanned =
      !shape.hostPorts.empty() || !asked || !std::ranges::all_of(*asked, isFew) ||
      !isCounted(shape) ||
      !std::ranges::all_of(state.bearers, [&](const auto& each) { return isCounted(*each); });
  for (auto& [placedShape, placed] : placed_) std::erase(placed.concerned, &state);
  state.counts = nullptr;
  if (state.isScanned || (shape.terms.empty() && state.bearers.empty())) return;
  state.counts =
      std::make_unique<ShapeCounts>(state.shape, state.bearers, snapshot_, grid_, layouts_);
  for (auto& [placedShape, placed] : placed_) {
    if (!state.counts->watch(*placedShape)) continue;
    state.counts->countAll(*placedShape, placed.nodes);
    placed.concerned.push_back(&state);
  }
  state.counts->updateAllFits();
  state.countsAt = now();
}

std::optional<NodeIndex::Found> NodeIndex::choose(const PodInfo& pod, Snapshot::Slot cursor,
                                                  ResourceScoring resources) {
  if (!pod.volumes.empty()) return std::nullopt;
  ShapeState& state = stateOf(pod);
  if (state.isScanned) return std::nullopt;
  const PodShape& shape = *pod.shape;
  std::vector<ShapeCounts::Group> groups;
  if (state.counts != nullptr) {
    groups = state.counts->groups(state.eligible);
  } else {
    // Which nodes have room matters for the others' scores only where these differ by more than
    // use.
    const bool varies = state.hasTaints || state.hasWeights;
    for (NodeGrid::ProfileId profile = 0; profile < state.eligible.size(); ++profile) {
      if (state.eligible[profile] && (!varies || grid_.anyFits(shape, profile)))
        groups.push_back({profile, nullptr, 0, 0});
    }
  }
  std::int64_t mostTaints = 0, mostWeight = 0;
  for (const auto& group : groups) {
    mostTaints = std::max(mostTaints, state.taints[group.profile]);
    mostWeight = std::max(mostWeight, state.weight[group.profile]);
  }
  const UseScores* scores = refreshScores(state, resources);
  BestNode best;
  best.cursor = cursor;
  for (const auto& group : groups) {
    NodeScores fixed;
    fixed.scores[kTaintTolerationScore] = normalizedTaints(state.taints[group.profile], mostTaints);
    fixed.scores[kNodeAffinityScore] = normalizedWeight(state.weight[group.profile], mostWeight);
    fixed.scores[kPodTopologySpreadScore] = group.spread;
    fixed.scores[kInterPodAffinityScore] = group.affinity;
    fixed.scores[kImageLocalityScore] = state.image[group.profile];
    if (scores != nullptr) {
      scores->findBest(group.profile, fixed.total(), group.nodes, best);
    } else {
      grid_.findBest(shape, group.profile, resources, fixed.total(), group.nodes, best);
    }
  }
  return Found{best.slot, best.slot == Snapshot::kNoSlot ? 0 : best.score};
}

}  // namespace podlab::scheduler
