#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "scheduler/node_grid.hpp"

namespace podlab::scheduler {

/// One shape's scores of all nodes by their use, kept up as that changes: the nodes of each score
/// are at hand. For shapes that are asked for often.
class UseScores {
 public:
  UseScores(const PodShape& shape, const NodeGrid& grid, Snapshot::Slot slots,
            ResourceScoring resources);

  ResourceScoring resources() const { return resources_; }
  /// The pods on the node changed. Its profile is the same.
  void update(Snapshot::Slot slot);
  /// As NodeGrid::findBest().
  void findBest(NodeGrid::ProfileId profile, std::int64_t base, const NodeBits* among,
                BestNode& best) const;

 private:
  static constexpr std::int16_t kMostScore = 200;
  static constexpr std::int16_t kNoScore = -1;  ///< the shape does not fit
  struct ByScore {
    std::vector<NodeSet> nodes;                             ///< by score
    std::array<std::uint64_t, kMostScore / 64 + 1> used{};  ///< bits of those with nodes
  };
  void move(Snapshot::Slot slot, std::int16_t score);

  const PodShape& shape_;
  const NodeGrid& grid_;
  ResourceScoring resources_;
  std::vector<std::int16_t> score_;  ///< by slot
  std::vector<ByScore> profiles_;
};

}  // namespace podlab::scheduler
