#pragma once
#include <cstdint>
#include <string>

namespace podlab::sim {

/// A scenario file made of a seed: few nodes, workloads of all kinds, and faults of all kinds, some
/// of them at the same time.
std::string randomScenario(std::uint64_t seed);

}  // namespace podlab::sim
