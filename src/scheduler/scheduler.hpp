#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/rng.hpp"
#include "common/time.hpp"
#include "scheduler/node_index.hpp"
#include "scheduler/preemption.hpp"
#include "scheduler/scheduling_queue.hpp"

namespace podlab::scheduler {

/// Decides where pods go: events in, decisions out; no I/O, no clock of its own. One pod at a time,
/// exactly, over all nodes. A decision is assumed at once: the next one counts the pod as placed,
/// until it is seen bound or bindFailed() takes it back. Who fits nowhere may have pods of lower
/// priority go, and is nominated to their node; SchedulingQueue says how pods wait.
class Scheduler {
 public:
  struct Decision {
    PodPtr pod;
    std::string node;  ///< empty: none
    Choice choice;
    /// Without a node: what status.nominatedNodeName becomes; nullopt: as it is.
    std::optional<std::string> nominated;
    /// Pods on the nominated node that are to be deleted, the most important first.
    std::vector<std::string> victims;
    /// Pods that lose their nomination to that node.
    std::vector<std::string> displaced;
  };

  /// Pods that name none of the profiles are left alone. `rng` breaks the ties of sampled profiles.
  explicit Scheduler(Rng& rng, std::vector<Profile> profiles = {Profile{}});

  void setNode(NodePtr node, MonoTime now);
  void removeNode(const std::string& name, MonoTime now);
  /// nullptr: the namespace is gone.
  void setNamespace(const std::string& name, const api::Labels* labels, MonoTime now);
  void setBudgets(std::vector<Budget> budgets) { budgets_ = std::move(budgets); }
  /// A new or changed pod: pending, bound or finished. Pods that are being deleted, gated, or
  /// finished are not scheduled.
  /// `defaultSelector` as for readTerms(); it means nothing for a bound pod.
  void setPod(PodPtr pod, MonoTime now, VolumeNeeds needs = {},
              const std::optional<api::LabelSelector>& defaultSelector = {});
  void removePod(const std::string& key, MonoTime now);
  /// The decision for this pod could not be carried out: it is tried again after its back-off.
  void bindFailed(const std::string& key, MonoTime now);
  /// Likewise, as some victims could not be deleted: the pod's nomination ends.
  void preemptionFailed(const std::string& key, MonoTime now);

  /// The next decision; nullopt when no pod is due.
  std::optional<Decision> decideNext(MonoTime now);
  /// When a pod is due; nullopt when none waits.
  std::optional<MonoTime> nextDue() const { return queue_.nextDue(); }

  const Snapshot& snapshot() const { return snapshot_; }
  const Nominations& nominations() const { return nominations_; }
  std::size_t pending() const { return queue_.size(); }

 private:
  struct Placed {
    Snapshot::Slot slot;
    std::shared_ptr<const PodInfo> info;
  };

  void setBound(std::shared_ptr<PodInfo> info, const std::string& node, MonoTime now);
  void place(Snapshot::Slot slot, std::shared_ptr<const PodInfo> info, MonoTime now);
  void unplace(const std::string& key, MonoTime now);
  void nominate(std::shared_ptr<const PodInfo> info, const std::string& node);
  void clearNomination(const PodInfo& info, MonoTime now);
  /// The cluster is in a new state, which may help those who wait.
  void changed(const ClusterEvent& event, MonoTime now);
  bool isAlone(const PodInfo& info) const;
  const Profile* profileOf(const corev1::Pod& pod) const;
  Choice choose(const PodInfo& info, const Profile& profile);
  void decideFailed(const std::shared_ptr<const PodInfo>& pod, Decision& decision, MonoTime now);
  void makeRoom(const std::shared_ptr<const PodInfo>& pod, const Victims& victims,
                Decision& decision, MonoTime now);
  /// Why the pod may not have others go, e.g. since victims are still leaving the node that it is
  /// nominated to. Empty when it may (defaultpreemption: PodEligibleToPreemptOthers).
  std::string whyNotPreempt(const PodInfo& info, const std::vector<NodeVerdict>& verdicts) const;

  Rng& rng_;
  const std::vector<Profile> profiles_;
  Snapshot snapshot_;
  NodeIndex index_{snapshot_};
  PodShapes shapes_;
  std::vector<Budget> budgets_;
  Nominations nominations_;
  SchedulingQueue queue_;
  std::unordered_map<std::string, Placed> placed_;  ///< by pod, assumed ones included
  /// By nominated pod: whom it has sent away. One that is gone, or was given up, counts no more.
  std::map<std::string, std::vector<std::string>> victims_;
  std::uint64_t version_ = 1;  ///< of all that a decision depends on
  Snapshot::Slot cursor_ = 0;
  std::size_t sampleStart_ = 0;
};

}  // namespace podlab::scheduler
