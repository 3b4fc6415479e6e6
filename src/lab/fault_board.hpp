#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "lab/fault_effects.hpp"
#include "lab/fault_timeline.hpp"

namespace podlab::lab {

/// What faults are done to: a lab.
class FaultTarget {
 public:
  virtual ~FaultTarget() = default;
  virtual NodeLabels nodes() const = 0;
  /// Makes the lab be as these effects say, and no other. After a failure it may be anything
  /// between, until the next call. kHostUnsupported: what this host lacks.
  virtual Status enforce(const FaultEffects& effects) = 0;
  /// Why faults of this kind are not to be had here; OK when they are.
  virtual Status supports(FaultKind kind) = 0;
  virtual Status killAgent(const std::string& node) = 0;
};

/// The faults in force, each until its lease is over. They live in this object and in the kernel's
/// objects of the lab alone, so that none outlives the lab.
class FaultBoard {
 public:
  FaultBoard(Clock& clock, FaultTarget& target) : clock_(clock), target_(target) {}
  ~FaultBoard();
  FaultBoard(const FaultBoard&) = delete;
  FaultBoard& operator=(const FaultBoard&) = delete;

  struct Entry {
    FaultConfig config;  ///< with the names of the nodes, whatever meant them
    Fault fault;
    std::string origin;
    MonoTime end;
    WallTime endsAt;  ///< the same, for people
    Clock::TimerId timer = 0;
  };

  /// Brings a fault about. The id under which it is in force; "" for one that is over at once.
  /// Nothing has changed after a failure.
  Result<std::string> add(FaultConfig config, std::string origin);
  /// Ends these; kNotFound, and ends none, when one is not in force.
  Status clear(const std::set<std::string>& ids);
  Status clearAll();
  /// The faults of this kind that are on one of these nodes.
  std::set<std::string> find(FaultKind kind, const std::set<std::string>& nodes) const;
  /// Takes the node out of the faults of this kind, as when a user starts what a fault keeps down.
  Status spare(FaultKind kind, const std::string& node);
  /// The node is gone, out of all faults.
  Status forget(const std::string& node);
  /// Carries the faults out again: a node has come, or has been started anew.
  Status refresh();

  const std::map<std::string, Entry>& entries() const { return entries_; }

  /// Ends all, and the timeline.
  void stop();

  /// Begins to bring about what the timeline says, from now on; does nothing the second time.
  /// kHostUnsupported, and begins nothing, when a kind in it is not to be had here.
  Status startTimeline(FaultsConfig config);

 private:
  Status enforce();
  Status without(const std::string& node, const std::set<std::string>& ids);
  void expire(const std::string& id);
  Status settle();
  void remove(const std::string& id);
  void schedule(int entry, std::uint64_t n);

  Clock& clock_;
  FaultTarget& target_;
  std::uint64_t lastId_ = 0;
  std::map<std::string, Entry> entries_;
  Clock::TimerId retry_ = 0;
  std::optional<FaultTimeline> timeline_;
  MonoTime timelineStart_{};
  std::map<int, Clock::TimerId> timelineTimers_;  ///< by entry
};

}  // namespace podlab::lab
