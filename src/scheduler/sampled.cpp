#include "scheduler/sampled.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace podlab::scheduler {

std::size_t enoughNodes(std::size_t nodes) {
  constexpr std::size_t kFewest = 100;
  if (nodes < kFewest) return nodes;
  const std::size_t less = nodes / 125;
  const std::size_t percent = less > 45 ? 5 : 50 - less;
  return std::max(kFewest, nodes * percent / 100);
}

Choice chooseSampled(const PodInfo& pod, const Snapshot& snapshot, const Nominations& nominations,
                     ResourceScoring resources, std::size_t& start, Rng& rng) {
  std::vector<Snapshot::Slot> nodes;
  for (Snapshot::Slot slot = 0; slot < snapshot.slots(); ++slot) {
    if (snapshot.at(slot).node() != nullptr) nodes.push_back(slot);
  }
  const std::size_t enough = enoughNodes(nodes.size());
  const PodFilter filter(pod, snapshot);
  std::vector<NodeVerdict> verdicts;
  std::vector<Snapshot::Slot> feasible;
  while (verdicts.size() < nodes.size() && feasible.size() < enough) {
    const auto slot = nodes[(start + verdicts.size()) % nodes.size()];
    verdicts.push_back(
        {slot, rejectWith(nominations.ahead(pod, snapshot.name(slot)), filter, snapshot.at(slot))});
    if (verdicts.back().passes()) feasible.push_back(slot);
  }
  if (!nodes.empty()) start = (start + verdicts.size()) % nodes.size();

  Choice best;
  best.diagnosis = diagnose(pod, snapshot, verdicts);
  const auto scores = scoreNodes(pod, snapshot, feasible, resources);
  std::uint64_t equals = 0;
  for (std::size_t i = 0; i < feasible.size(); ++i) {
    const std::int64_t score = scores[i].total();
    if (best.found() && score < best.score) continue;
    equals = best.found() && score == best.score ? equals + 1 : 1;
    // Each of so many equals is kept with the same chance.
    if (equals > 1 && rng.below(equals) != 0) continue;
    best.slot = feasible[i];
    best.score = score;
  }
  return best;
}

}  // namespace podlab::scheduler
