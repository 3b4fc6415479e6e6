#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/object.hpp"
#include "api/selectors.hpp"
#include "scheduler/nominations.hpp"
#include "scheduler/wake_rules.hpp"

namespace podlab::scheduler {

/// What a PodDisruptionBudget allows.
struct Budget {
  std::string ns;
  api::LabelSelector selector;  ///< the empty one selects no pod
  std::int64_t disruptionsAllowed = 0;
  std::set<std::string> disrupted;  ///< names of pods that have been counted already
};

/// What budgets say, PodDisruptionBudgets all.
std::vector<Budget> readBudgets(const std::vector<api::ObjectPtr>& budgets);

/// Pods that have to leave a node so that another one fits there.
struct Victims {
  Snapshot::Slot slot = Snapshot::kNoSlot;
  std::vector<std::shared_ptr<const PodInfo>> pods;  ///< the most important first
  std::size_t violations = 0;                        ///< those that a budget would keep
};

/// Of the pods on the node with a priority below `ceiling`, as few as must go: all leave, then
/// those that still fit come back, first those that a budget protects, then by priority, then those
/// that started first. nullopt when it does not help, and then why (defaultpreemption:
/// SelectVictimsOnNode).
struct NodeVictims {
  std::optional<Victims> victims;
  Rejection rejection;  ///< of the node without them; empty when there are none
};
NodeVictims victimsOn(Snapshot::Slot slot, const PodInfo& pod, std::int64_t ceiling,
                      const PodFilter& filter, const Snapshot& snapshot,
                      const std::vector<Budget>& budgets, const Nominations& nominations);

/// Whether `a` is the better choice: fewer pods that budgets would keep, a lower highest priority,
/// a lower sum of priorities, fewer pods, a later start of the most important one, an earlier slot.
bool isBetter(const Victims& a, const Victims& b);

struct Preemption {
  std::optional<Victims> best;
  FilterSet rejectedBy = 0;  ///< of nodes without their victims
  Diagnosis diagnosis;       ///< when there is no best one
};
/// The node where the fewest and least important pods have to go, after a scan that found no node:
/// kube-scheduler's DefaultPreemption, over all nodes that are not out for good.
Preemption preempt(const PodInfo& pod, const Snapshot& snapshot,
                   const std::vector<NodeVerdict>& verdicts, const std::vector<Budget>& budgets,
                   const Nominations& nominations);

}  // namespace podlab::scheduler
