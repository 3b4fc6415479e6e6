#pragma once
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "scheduler/node_info.hpp"
#include "scheduler/node_set.hpp"
#include "scheduler/scores.hpp"

namespace podlab::scheduler {

/// The best node found so far: of the highest score, the first at or after the cursor, else the
/// first of all.
struct BestNode {
  Snapshot::Slot cursor = 0;
  std::int64_t score = -1;
  Snapshot::Slot slot = Snapshot::kNoSlot;

  /// Whether it is taken rather than another of the same score.
  bool winsTie(Snapshot::Slot candidate) const {
    const bool isAfter = candidate >= cursor;
    return isAfter != (slot >= cursor) ? isAfter : candidate < slot;
  }
  void consider(std::int64_t candidateScore, Snapshot::Slot candidate) {
    if (candidateScore < score || (candidateScore == score && !winsTie(candidate))) return;
    score = candidateScore;
    slot = candidate;
  }
};

/// Nodes by profile, which is all that does not change with the pods on them, and in a profile by
/// the shares of cpu and memory in use: in the cells of the regions of a grid. The best node for a
/// pod is found in the few cells that can hold it. Placing a pod costs the same however many shapes
/// of pods there are.
class NodeGrid {
 public:
  using ProfileId = std::uint32_t;
  static constexpr ProfileId kNoProfile = static_cast<ProfileId>(-1);

  class Profile {
   public:
    const NodeInfo& sample() const { return sample_; }  ///< one such node, without pods
    std::size_t nodes() const { return nodes_; }        ///< that have it now

   private:
    friend class NodeGrid;
    struct Cell;
    struct Region;
    Region& regionOf(std::uint32_t place);  ///< made when there is none
    void drop(Region& region);

    NodeInfo sample_;
    std::size_t nodes_ = 0;
    std::vector<Region> regions_;  ///< those with nodes in them
    std::unordered_map<std::uint32_t, std::uint32_t> regionAt_;
  };

  explicit NodeGrid(const Snapshot& snapshot);
  ~NodeGrid();

  /// The labels by which profiles are told apart; all nodes are sorted anew.
  void setLabels(std::set<std::string> labels);

  /// Takes the node from the snapshot as it is now. True when it has another profile than before.
  bool updateNode(Snapshot::Slot slot);
  /// The pods on the node changed.
  void updateUse(Snapshot::Slot slot);

  ProfileId profileOf(Snapshot::Slot slot) const {
    return slot < nodes_.size() ? nodes_[slot].profile : kNoProfile;
  }
  /// Some may have no nodes any more; setLabels() forgets these.
  const std::vector<Profile>& profiles() const { return profiles_; }

  bool fits(const PodShape& pod, Snapshot::Slot slot) const;
  bool anyFits(const PodShape& pod, ProfileId profile) const;
  /// Score by the node's use: NodeResourcesFit and NodeResourcesBalancedAllocation.
  std::int64_t useScore(const PodShape& pod, Snapshot::Slot slot, ResourceScoring resources) const;
  /// The best of the profile's nodes in which the pod fits, and which are `among` (null: any), by
  /// `base` and the score of their use.
  void findBest(const PodShape& pod, ProfileId profile, ResourceScoring resources,
                std::int64_t base, const NodeBits* among, BestNode& best) const;

 private:
  /// What is in use of a node, and where in the grid that puts it.
  struct Node {
    ProfileId profile = kNoProfile;
    std::uint32_t region = 0, cell = 0;
    std::uint32_t placeInCell = 0;
    std::int64_t cpu = 0, memory = 0, scoredCpu = 0, scoredMemory = 0, pods = 0;
    // Of its profile: to fit and to score looks at nothing else.
    std::int64_t allCpu = 0, allMemory = 0, allPods = 0;
  };
  class Bound;

  std::string profileKey(const NodeInfo& node) const;
  void enter(Snapshot::Slot slot, ProfileId profile);
  void leave(Snapshot::Slot slot);
  bool fits(const PodShape& pod, const Node& node, Snapshot::Slot slot) const;
  static std::int64_t useScore(const PodShape& pod, const Node& node, ResourceScoring resources);
  void search(const PodShape& pod, const Profile::Cell& cell, std::int64_t reach,
              ResourceScoring resources, std::int64_t base, const NodeBits* among,
              BestNode& best) const;

  const Snapshot& snapshot_;
  std::set<std::string> labels_;
  std::vector<Node> nodes_;  ///< by slot
  std::vector<Profile> profiles_;
  std::unordered_map<std::string, ProfileId> profileByKey_;
};

}  // namespace podlab::scheduler
