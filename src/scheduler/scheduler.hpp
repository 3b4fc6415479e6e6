#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/time.hpp"
#include "scheduler/naive.hpp"

namespace podlab::scheduler {

/// Decides where pods go: events in, decisions out; no I/O, no clock of its own. One pod at a time,
/// exactly, over all nodes. A decision is assumed at once: the next one counts the pod as placed,
/// until it is seen bound or bindFailed() takes it back. Pods wait by priority, then by the order
/// of their arrival; one that fits nowhere waits until an event makes a node feasible for it, and
/// tries again 1 s (doubling to 10 s) after its last attempt at the earliest.
class Scheduler {
 public:
  struct Decision {
    PodPtr pod;
    std::string node;  ///< empty: none
    Choice choice;
  };

  void setNode(NodePtr node, MonoTime now);
  void removeNode(const std::string& name);
  /// A new or changed pod: pending, bound or finished. Pods that are being deleted, gated, or
  /// finished are not scheduled.
  /// `defaultSelector` as for readTerms().
  void setPod(PodPtr pod, MonoTime now, VolumeNeeds needs = {},
              const std::optional<api::LabelSelector>& defaultSelector = {});
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

  void place(const std::string& key, Snapshot::Slot slot, std::shared_ptr<const PodInfo> info);
  void unplace(const std::string& key, MonoTime now);
  void enqueue(Pending& pending, MonoTime now);
  void dequeue(const std::string& key);
  void wakeForNode(Snapshot::Slot slot, MonoTime now);
  static QueueKey queueKey(const Pending& pending);

  Snapshot snapshot_;
  PodShapes shapes_;
  std::map<std::string, Snapshot::Slot> placed_;  ///< by pod, assumed ones included
  std::map<std::string, Pending> pending_;
  std::set<QueueKey> active_;
  std::set<std::pair<MonoTime, std::string>> backoff_;
  std::uint64_t arrivals_ = 0;
  Snapshot::Slot cursor_ = 0;
};

}  // namespace podlab::scheduler
