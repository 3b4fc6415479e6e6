#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "scheduler/node_grid.hpp"
#include "scheduler/shape_counts.hpp"
#include "scheduler/use_scores.hpp"

namespace podlab::scheduler {

/// Finds the node for a pod, the same one as chooseNaively(), without looking at every node. It
/// follows a snapshot: its owner changes that first, and says then what has changed.
class NodeIndex {
 public:
  struct Options {
    /// A label of more values than these does not become part of profiles.
    std::size_t mostValues = 64;
    /// A shape is asked for often when, time and again, no more nodes than these have changed
    /// since: then keeping its scores up costs less than looking for the best one.
    std::uint64_t often = 256;
  };
  explicit NodeIndex(const Snapshot& snapshot) : NodeIndex(snapshot, Options()) {}
  NodeIndex(const Snapshot& snapshot, Options options);
  ~NodeIndex();

  /// The node object was set, replaced or taken away.
  void nodeChanged(Snapshot::Slot slot);
  void podAdded(Snapshot::Slot slot, const PodInfo& pod);
  void podRemoved(Snapshot::Slot slot, const PodInfo& pod);
  /// A namespace's labels are others.
  void namespacesChanged();

  struct Found {
    Snapshot::Slot slot = Snapshot::kNoSlot;  ///< no slot: no node will do
    std::int64_t score = 0;
  };
  /// nullopt for what only the plain scan decides: pods with host ports or volumes, or with rules
  /// on labels that nearly every node has its own value of.
  std::optional<Found> choose(const PodInfo& pod, Snapshot::Slot cursor,
                              ResourceScoring resources = ResourceScoring::kLeastAllocated);

 private:
  struct ShapeState;
  struct PlacedShape {
    std::shared_ptr<const PodShape> shape;
    std::size_t pods = 0;
    NodeBits nodes;                      ///< those that have some, or had
    std::vector<ShapeState*> concerned;  ///< those that count them
  };

  void podChanged(Snapshot::Slot slot, const PodInfo& pod, int difference);
  void noteFit(Snapshot::Slot slot);
  LabelLayout layoutOf(const std::string& key) const;
  std::string ownLabelsOf(Snapshot::Slot slot) const;
  bool refreshLayouts(const PodShape& shape);
  ShapeState& stateOf(const PodInfo& pod);
  void refresh(ShapeState& state, const PodInfo& pod);
  void refreshCounts(ShapeState& state);
  /// Null for a shape that is seldom asked for.
  const UseScores* refreshScores(ShapeState& state, ResourceScoring resources);
  std::uint64_t now() const { return changesBefore_ + changes_.size(); }
  void forgetShapes();

  const Snapshot& snapshot_;
  Options options_;
  NodeGrid grid_;
  std::map<std::string, LabelLayout> layouts_;  ///< of the labels that shapes ask for
  std::uint64_t nodesVersion_ = 1;              ///< changes when profiles of nodes do
  std::uint64_t layoutsVersion_ = 0;            ///< the nodesVersion_ that they were found at
  std::uint64_t bearersVersion_ = 1;
  std::unordered_map<const PodShape*, std::unique_ptr<ShapeState>> shapes_;
  std::unordered_map<const PodShape*, PlacedShape> placed_;
  std::vector<std::shared_ptr<const PodShape>> bearers_;  ///< placed, with affinity terms
  std::vector<std::string> ownLabels_;   ///< by slot: values of labels that are no part of profiles
  std::vector<Snapshot::Slot> changes_;  ///< nodes whose use changed, the latest last
  std::uint64_t changesBefore_ = 0;      ///< dropped from the front of them
};

}  // namespace podlab::scheduler
