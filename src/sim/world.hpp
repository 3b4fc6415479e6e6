#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/status.hpp"
#include "sim/observer.hpp"
#include "sim/scenario.hpp"
#include "sim/sim_disk.hpp"

namespace podlab::sim {

struct WorldOptions {
  /// Checks Invariants all the time, and at the end, when faults and arrivals have ceased and
  /// kSettle is over, that the cluster is whole again.
  bool checkInvariants = false;
  SimDisk::Options disk = {};
  /// Called at each sample, with the virtual time.
  std::function<void(Duration)> progress = nullptr;
};

/// How a simulation went.
struct Outcome {
  Duration simulated{};
  Totals totals;
  std::vector<Sample> samples;
  std::uint64_t placementHash = 0;
  std::uint64_t events = 0;  ///< timers that ran
  std::uint64_t writes = 0;  ///< of the server
  std::uint64_t faults = 0;  ///< that came
  std::uint64_t packets = 0;
  std::uint64_t packetsLost = 0;
  std::uint64_t connectionsBroken = 0;
  std::uint64_t refused = 0;  ///< objects that the API did not take,
  std::string refusal;        ///< and why it did not take the first of them
  std::uint64_t changesChecked = 0;
  std::uint64_t watchEventsChecked = 0;
  std::vector<std::string> violations;  ///< of the invariants
};

/// A cluster of its own from the first start to the last stop, in one thread and in virtual time:
/// the server with store, API, controllers and scheduler, and the agents of hollow nodes. The same
/// scenario gives the same outcome.
class World {
 public:
  static constexpr Duration kSettle = std::chrono::minutes(20);

  World(Scenario scenario, WorldOptions options);
  ~World();

  /// Once. A failure is one of the simulation itself.
  Result<Outcome> run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace podlab::sim
