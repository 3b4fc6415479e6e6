#pragma once
#include <cstddef>

#include "common/rng.hpp"
#include "scheduler/nominations.hpp"

namespace podlab::scheduler {

/// How many feasible nodes are enough (schedule_one.go: numFeasibleNodesToFind): all of less than
/// 100, else 50 % less one for each 125 nodes, but 5 % and 100 nodes at least.
std::size_t enoughNodes(std::size_t nodes);

/// As kube-scheduler does: filters nodes in the order of slots, from the `start`-th on and round,
/// until enough have passed, scores these, and chooses one of the best by chance. Moves `start` on.
Choice chooseSampled(const PodInfo& pod, const Snapshot& snapshot, const Nominations& nominations,
                     ResourceScoring resources, std::size_t& start, Rng& rng);

}  // namespace podlab::scheduler
