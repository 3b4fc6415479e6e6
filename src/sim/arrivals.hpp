#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "api/object.hpp"
#include "common/rng.hpp"
#include "sim/scenario.hpp"

namespace podlab::sim {

/// Objects that come at one time.
struct Arrival {
  Duration at{};  ///< from the beginning
  std::string name;
  Shape shape;
  std::optional<Duration> lifetime;
  int replicas = 1;
};

/// The arrivals of one workload, in order: a function of the workload and the seed.
class Arrivals {
 public:
  Arrivals(const Workload& workload, std::uint64_t seed);
  /// nullopt: that were all.
  std::optional<Arrival> next();

 private:
  const Workload& workload_;
  SeededRng rng_;
  double totalWeight_ = 0;
  Duration at_{};
  std::uint64_t made_ = 0;
  std::uint64_t together_ = 0;  ///< still to come at the present time
};

/// The label that names the workload of a pod, or of what makes it.
inline constexpr const char* kWorkloadLabel = "sim.podlab.io/workload";

/// The Pod, Deployment or Job of an arrival. Its containers run `sleep SECONDS`, which hollow nodes
/// understand; without a lifetime, and in Deployments, for ever.
api::MutableObjectPtr objectOf(const Workload& workload, const Arrival& arrival);

}  // namespace podlab::sim
