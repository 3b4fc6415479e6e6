#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "common/time.hpp"
#include "scheduler/wake_rules.hpp"

namespace podlab::scheduler {

/// The pods that want a node, and when each is tried. Due ones come by priority, then by arrival.
/// One that fits nowhere waits until an event may help it, and is tried again 1 s (doubling to 10
/// s) after its last attempt at the earliest; after five minutes it is tried in any case.
///
/// Pods that must fare alike wait in one group: an event is held against the group, once, and a
/// woken group sends one pod a time: while they find places the next one follows, and the first
/// that finds none lets the others wait on. A stream of events costs by groups, not by pods.
class SchedulingQueue {
 public:
  using Pod = std::shared_ptr<const PodInfo>;

  /// Why a pod found no place, and in which state of the cluster.
  struct Failure {
    std::uint64_t version = 0;
    FilterSet rejectedBy = 0;
    Diagnosis diagnosis;
  };

  /// A new pod, or one that has changed so that it may be decided otherwise: it is due at once.
  /// `alone`: it fares otherwise than pods of its shape and priority, for its volumes or because
  /// it is nominated.
  void add(Pod pod, bool alone);
  /// The pod as it is now, with nothing that matters changed; or while it is out.
  void refresh(Pod pod);
  void remove(const std::string& key);
  /// nullptr when it is not known.
  const PodInfo* find(const std::string& key) const;
  std::size_t size() const { return waiters_.size(); }

  /// The next pod that is due. It is out of the queue, but known, until placed() and remove(), or
  /// fail(), or retry().
  Pod pop(MonoTime now);
  bool isOut(const std::string& key) const;
  /// How the last pod of its group failed, if that was in this state of the cluster.
  const Failure* knownFailure(const std::string& key, std::uint64_t version) const;
  /// It has found a node, and stays out.
  void placed(const std::string& key, MonoTime now);
  /// It has found none. With `alone` as for add().
  void fail(const std::string& key, Failure failure, bool alone, MonoTime now);
  /// What was decided for it did not come about: it is tried again after its back-off.
  void retry(const std::string& key, bool alone, MonoTime now);

  /// Asks once for each group that waits whether an event helps it. What is asked may add to what
  /// keeps the group's pods.
  void wake(const std::function<bool(const PodInfo&, FilterSet& rejectedBy)>& helps, MonoTime now);
  /// Wakes this pod's group, if it waits.
  void wakePod(const std::string& key, MonoTime now);

  /// When a pod is due next: the past when one is now; nullopt when none waits.
  std::optional<MonoTime> nextDue() const;

 private:
  struct Group;
  enum class Place { kActive, kBackoff, kCooling, kResting, kOut };
  struct Waiter {
    Pod pod;
    std::uint64_t arrival = 0;
    int attempts = 0;
    MonoTime notBefore = MonoTime::min();  ///< end of the back-off
    MonoTime flushAt{};                    ///< while it is cooling or resting
    Place place = Place::kOut;
    Group* group = nullptr;
  };
  using ByArrival = std::map<std::uint64_t, Waiter*>;
  using ByTime = std::map<std::pair<MonoTime, std::uint64_t>, Waiter*>;
  /// Shape, priority, whether it preempts; the pod's key when it is alone.
  using GroupKey = std::tuple<const PodShape*, std::int32_t, bool, std::string>;
  struct Group {
    GroupKey key;
    std::shared_ptr<const PodShape> shape;  ///< keeps the key's address taken
    std::size_t members = 0;
    ByTime cooling;     ///< in their back-off
    ByArrival resting;  ///< after it
    bool woken = false;
    Waiter* envoy = nullptr;  ///< the one that was sent to be tried
    Failure failure;
    bool waits() const { return !woken && !(cooling.empty() && resting.empty()); }
  };
  using ActiveKey = std::pair<std::int64_t, std::uint64_t>;  ///< negative priority, arrival

  void join(Waiter& waiter, bool alone);
  void leave(Waiter& waiter);
  void takeOut(Waiter& waiter);
  void activate(Waiter& waiter);
  void backOff(Waiter& waiter);
  void wakeGroup(Group& group, MonoTime now);
  void sendEnvoy(Group& group, MonoTime now);

  std::unordered_map<std::string, Waiter> waiters_;
  std::map<GroupKey, Group> groups_;  ///< no order shows
  std::map<ActiveKey, Waiter*> active_;
  ByTime backoff_;
  ByTime flushes_;
  std::uint64_t arrivals_ = 0;
};

}  // namespace podlab::scheduler
