#include "scheduler/preemption.hpp"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "policy_v1.pb.h"

namespace podlab::scheduler {
namespace {

// As upstream says it (defaultpreemption).
constexpr const char* kNotHelpful = "Preemption is not helpful for scheduling";
constexpr const char* kNoVictims = "No preemption victims found for incoming pod";

using Pods = std::vector<std::shared_ptr<const PodInfo>>;

/// util.MoreImportantPod; the key makes the order one.
bool isMoreImportant(const std::shared_ptr<const PodInfo>& a,
                     const std::shared_ptr<const PodInfo>& b) {
  if (a->priority != b->priority) return a->priority > b->priority;
  if (a->startedAt != b->startedAt) return a->startedAt < b->startedAt;
  return a->key < b->key;
}

/// For each pod whether its going would overdraw a budget, when all of them go in this order.
std::vector<bool> overdraw(const Pods& pods, const std::vector<Budget>& budgets) {
  std::vector<std::int64_t> left;
  left.reserve(budgets.size());
  for (const auto& budget : budgets) left.push_back(budget.disruptionsAllowed);
  std::vector<bool> violating(pods.size(), false);
  for (std::size_t i = 0; i < pods.size(); ++i) {
    const PodShape& shape = *pods[i]->shape;
    if (shape.labels.empty()) continue;
    const std::string name = pods[i]->key.substr(shape.ns.size() + 1);
    for (std::size_t b = 0; b < budgets.size(); ++b) {
      const Budget& budget = budgets[b];
      if (budget.ns != shape.ns || budget.selector.empty() ||
          !budget.selector.matches(shape.labels) || budget.disrupted.contains(name))
        continue;
      if (--left[b] < 0) violating[i] = true;
    }
  }
  return violating;
}

std::int64_t highestPriority(const Victims& victims) {
  return victims.pods.empty() ? std::numeric_limits<std::int64_t>::min()
                              : victims.pods.front()->priority;
}

/// Each counts for more than nothing, whatever its priority (upstream adds MaxInt32 + 1).
std::int64_t sumOfPriorities(const Victims& victims) {
  std::int64_t sum = 0;
  for (const auto& pod : victims.pods) sum += pod->priority + (std::int64_t{1} << 31);
  return sum;
}

/// When the first of those with the highest priority started.
std::int64_t earliestStart(const Victims& victims) {
  return victims.pods.empty() ? 0 : victims.pods.front()->startedAt;
}

}  // namespace

std::vector<Budget> readBudgets(const std::vector<api::ObjectPtr>& budgets) {
  std::vector<Budget> read;
  for (const auto& object : budgets) {
    const auto& source = api::as<policyv1::PodDisruptionBudget>(object);
    auto selector = api::LabelSelector::of(source.spec().selector());
    if (!selector || selector->empty()) continue;
    Budget budget{source.metadata().namespace_(),
                  std::move(*selector),
                  source.status().disruptionsallowed(),
                  {}};
    for (const auto& [pod, time] : source.status().disruptedpods()) budget.disrupted.insert(pod);
    read.push_back(std::move(budget));
  }
  return read;
}

NodeVictims victimsOn(Snapshot::Slot slot, const PodInfo& pod, std::int64_t ceiling,
                      const PodFilter& filter, const Snapshot& snapshot,
                      const std::vector<Budget>& budgets, const Nominations& nominations) {
  NodeInfo node = snapshot.at(slot);
  Pods candidates = node.pods();
  std::erase_if(candidates,
                [ceiling](const auto& candidate) { return candidate->priority >= ceiling; });
  if (candidates.empty()) return {};
  std::ranges::sort(candidates, isMoreImportant);
  PodFilter without = filter;
  for (const auto& candidate : candidates) {
    node.remove(candidate->key);
    without.count(*candidate, node, -1);
  }
  const auto ahead = nominations.ahead(pod, snapshot.name(slot));
  if (Rejection rejection = rejectWith(ahead, without, node); !rejection.filter.empty())
    return {std::nullopt, std::move(rejection)};

  Victims victims{slot, {}, 0};
  const auto violating = overdraw(candidates, budgets);
  for (const bool isProtected : {true, false}) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (violating[i] != isProtected) continue;
      node.add(candidates[i]);
      without.count(*candidates[i], node, 1);
      if (rejectWith(ahead, without, node).filter.empty()) continue;
      node.remove(candidates[i]->key);
      without.count(*candidates[i], node, -1);
      victims.pods.push_back(candidates[i]);
      if (isProtected) ++victims.violations;
    }
  }
  std::ranges::sort(victims.pods, isMoreImportant);
  return {std::move(victims), {}};
}

bool isBetter(const Victims& a, const Victims& b) {
  const auto rank = [](const Victims& victims) {
    return std::tuple(victims.violations, highestPriority(victims), sumOfPriorities(victims),
                      victims.pods.size(), -earliestStart(victims), victims.slot);
  };
  return rank(a) < rank(b);
}

Preemption preempt(const PodInfo& pod, const Snapshot& snapshot,
                   const std::vector<NodeVerdict>& verdicts, const std::vector<Budget>& budgets,
                   const Nominations& nominations) {
  Preemption preemption;
  preemption.diagnosis.nodes = snapshot.nodeCount();
  auto& reasons = preemption.diagnosis.reasons;
  if (!pod.volumes.blocked.empty()) reasons[kNotHelpful] = snapshot.nodeCount();
  const PodFilter filter(pod, snapshot);
  for (const auto& verdict : verdicts) {
    if (verdict.passes()) continue;
    if (!verdict.rejection.resolvable) {
      ++reasons[kNotHelpful];
      continue;
    }
    auto found = victimsOn(verdict.slot, pod, pod.priority, filter, snapshot, budgets, nominations);
    preemption.rejectedBy |= filterBit(found.rejection.filter);
    if (!found.victims) {
      if (found.rejection.filter.empty()) ++reasons[kNoVictims];
      for (const auto& reason : found.rejection.reasons) ++reasons[reason];
      continue;
    }
    if (!preemption.best || isBetter(*found.victims, *preemption.best))
      preemption.best = std::move(found.victims);
  }
  return preemption;
}

}  // namespace podlab::scheduler
