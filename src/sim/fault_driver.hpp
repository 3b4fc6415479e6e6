#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include <asio/any_io_executor.hpp>

#include "common/clock.hpp"
#include "common/sync.hpp"
#include "lab/fault_timeline.hpp"
#include "sim/scenario.hpp"
#include "sim/sim_network.hpp"

namespace podlab::sim {

/// What faults are done to.
struct FaultTargets {
  std::function<Co<void>(std::string node)> crashAgent;
  std::function<Co<void>(std::string node)> powerOff;
  std::function<void(std::string node)> start;  ///< what was crashed or powered off
  std::function<Co<void>()> crashServer;
  std::function<Co<void>()> startServer;
};

/// Brings a scenario's faults about when they are due, and ends each when it is over.
class FaultDriver {
 public:
  /// References and targets outlive finish().
  FaultDriver(const asio::any_io_executor& executor, Clock& clock, SimNetwork& network,
              const Scenario& scenario, FaultTargets targets);

  /// The timeline begins now.
  void start();
  /// Ends what is in force at once; returns when everything is up again, and nothing comes any
  /// more.
  Co<void> finish();
  /// That came.
  std::uint64_t count() const { return count_; }

 private:
  void scheduleNext(int entry, std::uint64_t occurrence);
  void come(int entry, std::uint64_t occurrence);
  Co<void> carryOut(lab::FaultConfig config);
  Co<void> killServer(Duration lease);
  Co<void> kill(std::string node, Duration lease, bool wholeHost);
  Co<void> worsen(lab::Fault fault);
  Co<void> cut(lab::Fault fault);
  Co<void> lastFor(Duration lease);
  void setConditions();

  Clock& clock_;
  SimNetwork& network_;
  const Scenario& scenario_;
  FaultTargets targets_;
  lab::FaultTimeline timeline_;
  lab::NodeLabels nodes_;
  std::set<std::string> hosts_;
  MonoTime begin_;
  std::map<std::uint64_t, lab::Fault> worse_;  ///< of kinds loss and delay, in force
  std::uint64_t lastWorse_ = 0;
  std::set<std::string> changed_;  ///< hosts with conditions of their own
  std::set<std::string> down_;     ///< nodes
  bool serverDown_ = false;
  std::uint64_t count_ = 0;
  std::map<int, Clock::TimerId> due_;
  bool finishing_ = false;
  WaitQueue finish_;
  TaskGroup tasks_;
};

}  // namespace podlab::sim
