#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "scheduler/node_grid.hpp"
#include "scheduler/topology.hpp"

namespace podlab::scheduler {

/// How the values of a node label lie: for spread and affinity that decides how they are counted.
enum class LabelLayout {
  kFew,     ///< so few values that nodes are told apart by them: the label is part of profiles
  kNode,    ///< each node has one, of its own
  kNeither  ///< many values, each of several nodes: counted by the plain scan
};

/// One shape's view of all pods that its terms, or theirs about it, concern: how many there are by
/// domain, kept up as pods come and go. Nodes lie in groups: those of one profile with the same
/// counts on the node itself (a level) score alike in all but their use.
class ShapeCounts {
 public:
  using ProfileId = NodeGrid::ProfileId;
  using Level = std::uint32_t;

  /// `bearers` are the shapes with terms about this one that are on nodes. No pod is counted yet,
  /// nor is it known where the shape fits.
  ShapeCounts(std::shared_ptr<const PodShape> shape,
              const std::vector<std::shared_ptr<const PodShape>>& bearers, const Snapshot& snapshot,
              const NodeGrid& grid, const std::map<std::string, LabelLayout>& layouts);

  /// Whether pods of the other shape are to be counted: asked once, before any of them is.
  bool watch(const PodShape& other);
  /// Counts all pods of a watched shape. These are on `nodes` and on no others; those that have
  /// none are taken out.
  void countAll(const PodShape& other, NodeBits& nodes);
  /// A pod of a watched shape is on the node, or is not any more.
  void count(Snapshot::Slot slot, const PodInfo& pod, int difference);
  /// No pod of this shape is left, nor the shape.
  void forget(const PodShape* other) { weights_.erase(other); }
  /// The pods on the node changed: whether this shape fits may have.
  void updateFit(Snapshot::Slot slot);
  void updateAllFits();

  /// Nodes that are alike for this shape but for their use.
  struct Group {
    ProfileId profile = 0;
    const NodeBits* nodes = nullptr;  ///< null: all of the profile
    std::int64_t spread = 0;          ///< scores, normalised
    std::int64_t affinity = 0;
  };
  /// The groups that pass the filters and have a node in which the shape fits. `eligible` says of
  /// each profile whether its nodes pass the filters that look at the node alone.
  std::vector<Group> groups(const std::vector<bool>& eligible) const;

 private:
  enum class Purpose {
    kHardSpread,
    kSoftSpread,
    kAffinity,
    kAntiAffinity,
    kExistingAntiAffinity,
    kAffinityScore
  };
  struct Counter {
    Purpose purpose;
    std::size_t index = 0;  ///< of the constraint or term
    std::string key;
    bool perNode = false;
    std::size_t dimension = 0;         ///< of the level, when per node
    std::vector<int> domain;           ///< by profile; -1: the label is missing
    std::vector<std::int64_t> values;  ///< by domain
    std::vector<bool> counts;          ///< by profile: whether its nodes' pods count
    std::int64_t total = 0;
  };
  struct Weight {
    std::size_t counter;
    std::int64_t weight;
  };
  struct LevelNodes {
    std::vector<std::int64_t> values;
    NodeBits nodes;
    std::vector<std::uint32_t> nodesOf;  ///< by profile
    std::vector<std::uint32_t> fitsOf;   ///< by profile: those in which the shape fits
  };
  struct Candidate;

  void addCounter(Purpose purpose, std::size_t index, const std::string& key,
                  const std::map<std::string, LabelLayout>& layouts);
  std::int64_t weightOf(const Counter& counter, const PodShape& other) const;
  Level levelOf(std::vector<std::int64_t> values);
  std::int64_t valueAt(const Counter& counter, ProfileId profile, Level level) const;
  std::int64_t leastOf(const Counter& counter) const;
  bool passesSpread(ProfileId profile, Level level, const std::vector<std::int64_t>& least) const;
  bool passesAffinity(ProfileId profile, Level level) const;
  void scoreSpread(std::vector<Candidate>& candidates) const;
  void scoreAffinity(std::vector<Candidate>& candidates) const;
  bool hasLabel(const Counter& counter, ProfileId profile) const {
    return counter.perNode || counter.domain[profile] >= 0;
  }

  std::shared_ptr<const PodShape> shape_;
  const Snapshot& snapshot_;
  const NodeGrid& grid_;
  bool matchesItself_ = false;
  std::vector<Counter> counters_;
  std::size_t dimensions_ = 0;
  std::unordered_map<const PodShape*, std::vector<Weight>> weights_;  ///< of watched shapes
  std::vector<LevelNodes> levels_;
  std::map<std::vector<std::int64_t>, Level> levelByValues_;
  std::vector<Level> level_;        ///< by slot
  std::vector<std::uint8_t> fits_;  ///< by slot
};

/// Whether a shape's terms say anything about pods like this one, or need them counted.
bool concerns(const PodShape& bearer, const PodShape& pod, const NamespaceLabels& namespaces);

}  // namespace podlab::scheduler
