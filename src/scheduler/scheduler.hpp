#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/time.hpp"
#include "scheduler/filters.hpp"
#include "scheduler/node_info.hpp"

namespace podlab::scheduler {

/// How many nodes fell out for each reason; the text is upstream's:
/// "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable."
struct Diagnosis {
  std::size_t nodes = 0;
  std::map<std::string, std::size_t> reasons;
  std::string blocked;  ///< why no node was looked at
  std::string toString() const;
};

/// The node for a pod, whole, or why there is none.
struct Choice {
  std::string node;  ///< empty: none
  std::int64_t score = 0;
  Diagnosis diagnosis;
};

/// A plain scan over all nodes: among the feasible ones of the highest score, the first at or after
/// `cursor` in the order of names. It stays as the oracle of every faster engine.
Choice chooseNaively(const PodInfo& pod, const Snapshot& snapshot, const std::string& cursor);

/// Decides where pods go: events in, decisions out; no I/O, no clock of its own. One pod at a time,
/// exactly, over all nodes. A decision is assumed at once: the next one counts the pod as placed,
/// until it is seen bound or bindFailed() takes it back. Pods wait by priority, then by the order
/// of their arrival; one that fits nowhere waits until an event makes a node feasible for it, and
/// tries again 1 s (doubling to 10 s) after its last attempt at the earliest.
class Scheduler {
 public:
  struct Decision {
    PodPtr pod;
    Choice choice;
  };

  void setNode(NodePtr node, MonoTime now);
  void removeNode(const std::string& name);
  /// A new or changed pod: pending, bound or finished. Pods that are being deleted, gated, or
  /// finished are not scheduled.
  void setPod(PodPtr pod, MonoTime now, VolumeNeeds needs = {});
  void removePod(const std::string& key, MonoTime now);
  /// The decision for this pod could not be carried out: it is tried again after its back-off.
  void bindFailed(const std::string& key, MonoTime now);

  /// The next decision; nullopt when no pod is due.
  std::optional<Decision> decideNext(MonoTime now);
  /// When a pod's back-off ends; nullopt when none waits for time.
  std::optional<MonoTime> nextDue() const;

  const Snapshot& snapshot() const { return snapshot_; }
  std::size_t pending() const { return pending_.size(); }

 private:
  enum class Wait { kActive, kBackoff, kUnschedulable, kAssumed };
  struct Pending {
    std::shared_ptr<const PodInfo> info;
    Wait wait = Wait::kActive;
    std::uint64_t arrival = 0;
    int attempts = 0;
    MonoTime notBefore{};  ///< end of the back-off
  };
  struct QueueKey {
    std::int32_t priority;
    std::uint64_t arrival;
    std::string pod;
    bool operator<(const QueueKey& other) const {
      if (priority != other.priority) return priority > other.priority;
      return arrival < other.arrival;
    }
  };

  void place(const std::string& key, std::string node, std::shared_ptr<const PodInfo> info);
  void unplace(const std::string& key, MonoTime now);
  void enqueue(Pending& pending, MonoTime now);
  void dequeue(const std::string& key);
  void wakeForNode(const std::string& name, MonoTime now);
  static QueueKey queueKey(const Pending& pending);

  Snapshot snapshot_;
  std::map<std::string, std::string> placed_;  ///< pod key -> node, assumed ones included
  std::map<std::string, Pending> pending_;
  std::set<QueueKey> active_;
  std::set<std::pair<MonoTime, std::string>> backoff_;
  std::uint64_t arrivals_ = 0;
  std::string cursor_;
};

}  // namespace podlab::scheduler
