#include "scheduler/use_scores.hpp"

#include <bit>

namespace podlab::scheduler {

UseScores::UseScores(const PodShape& shape, const NodeGrid& grid, Snapshot::Slot slots,
                     ResourceScoring resources)
    : shape_(shape),
      grid_(grid),
      resources_(resources),
      score_(slots, kNoScore),
      profiles_(grid.profiles().size()) {
  for (Snapshot::Slot slot = 0; slot < slots; ++slot) update(slot);
}

void UseScores::update(Snapshot::Slot slot) {
  if (slot >= score_.size() || grid_.profileOf(slot) == NodeGrid::kNoProfile) return;
  const auto score = grid_.fits(shape_, slot)
                         ? static_cast<std::int16_t>(grid_.useScore(shape_, slot, resources_))
                         : kNoScore;
  if (score != score_[slot]) move(slot, score);
}

void UseScores::move(Snapshot::Slot slot, std::int16_t score) {
  auto& [nodes, used] = profiles_[grid_.profileOf(slot)];
  if (nodes.empty()) nodes.resize(kMostScore + 1);
  const auto bit = [](std::size_t at) { return std::uint64_t{1} << (at % 64); };
  if (score_[slot] != kNoScore) {
    const auto from = static_cast<std::size_t>(score_[slot]);
    nodes[from].erase(slot);
    if (nodes[from].size() == 0) used[from / 64] &= ~bit(from);
  }
  if (score != kNoScore) {
    const auto to = static_cast<std::size_t>(score);
    nodes[to].insert(slot);
    used[to / 64] |= bit(to);
  }
  score_[slot] = score;
}

void UseScores::findBest(NodeGrid::ProfileId profile, std::int64_t base, const NodeBits* among,
                         BestNode& best) const {
  const auto& [nodes, used] = profiles_[profile];
  for (std::size_t word = used.size(); word-- > 0;) {
    for (std::uint64_t left = used[word]; left != 0;) {
      const auto bit = static_cast<std::size_t>(63 - std::countl_zero(left));
      left &= ~(std::uint64_t{1} << bit);
      const auto score = base + static_cast<std::int64_t>(word * 64 + bit);
      if (score < best.score) return;
      const std::size_t slot = nodes[word * 64 + bit].firstFrom(best.cursor, among);
      if (slot == NodeSet::kNone) continue;
      return best.consider(score, slot);
    }
  }
}

}  // namespace podlab::scheduler
