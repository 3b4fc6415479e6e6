#include "scheduler/explain.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "api/quantity.hpp"
#include "api/selectors.hpp"
#include "api/taints.hpp"

namespace podlab::scheduler {
namespace {

/// A node and a pod as they would be, and what was done to them.
struct Changed {
  std::shared_ptr<corev1::Node> node;
  std::vector<std::string> changes;
  bool isCountedAnew = false;                   ///< the node's labels or taints are others
  std::vector<corev1::Toleration> tolerations;  ///< that the pod has besides its own

  void label(const std::string& key, const std::string& value) {
    isCountedAnew = true;
    (*node->mutable_metadata()->mutable_labels())[key] = value;
    changes.push_back("label " + node->metadata().name() + " " + key + "=" + value);
  }
  void unlabel(const std::string& key) {
    isCountedAnew = true;
    node->mutable_metadata()->mutable_labels()->erase(key);
    changes.push_back("take label " + key + " off " + node->metadata().name());
  }
};

void allow(const corev1::NodeSelectorRequirement& wanted, Changed& changed) {
  corev1::NodeSelectorTerm term;
  *term.add_matchexpressions() = wanted;
  if (api::matchesNodeSelectorTerm(term, *changed.node)) return;
  const std::string& op = wanted.operator_();
  if (op == "NotIn" || op == "DoesNotExist") return changed.unlabel(wanted.key());
  if (op == "Exists") return changed.label(wanted.key(), "true");
  if (wanted.values().empty()) return;
  const std::string& value = wanted.values(0);
  if (op == "In") return changed.label(wanted.key(), value);
  const std::int64_t bound = std::atoll(value.c_str());
  changed.label(wanted.key(), std::to_string(op == "Gt" ? bound + 1 : bound - 1));
}

/// Labels by which the pod's node selector and the easiest term of its affinity allow the node.
void allowNode(const corev1::PodSpec& spec, Changed& changed) {
  const std::map<std::string, std::string> selector(spec.nodeselector().begin(),
                                                    spec.nodeselector().end());
  for (const auto& [key, value] : selector) {
    const auto& labels = changed.node->metadata().labels();
    const auto label = labels.find(key);
    if (label == labels.end() || label->second != value) changed.label(key, value);
  }
  const auto& terms = spec.affinity()
                          .nodeaffinity()
                          .requiredduringschedulingignoredduringexecution()
                          .nodeselectorterms();
  if (api::podAllowsNode(spec, *changed.node)) return;
  std::optional<Changed> best;
  for (const auto& term : terms) {
    Changed tried = changed;
    tried.node = std::make_shared<corev1::Node>(*changed.node);
    for (const auto& wanted : term.matchexpressions()) allow(wanted, tried);
    // By its name, or by two values at once, a node cannot be made to match.
    if (!api::podAllowsNode(spec, *tried.node)) continue;
    if (!best || tried.changes.size() < best->changes.size()) best = std::move(tried);
  }
  if (best) changed = std::move(*best);
}

void admit(const PodInfo& pod, Changed& changed) {
  const auto& tolerations = pod.shape->spec.tolerations();
  auto& spec = *changed.node->mutable_spec();
  if (spec.unschedulable()) {
    corev1::Taint taint;
    taint.set_key(std::string(api::kTaintUnschedulable));
    taint.set_effect(std::string(api::kNoSchedule));
    if (!api::tolerates(tolerations, taint)) {
      spec.set_unschedulable(false);
      changed.changes.push_back("uncordon " + changed.node->metadata().name());
      // The node's controller takes the taint of this name away with it.
      auto& taints = *spec.mutable_taints();
      taints.erase(
          std::remove_if(taints.begin(), taints.end(),
                         [](const auto& one) { return one.key() == api::kTaintUnschedulable; }),
          taints.end());
    }
  }
  for (const auto& taint : spec.taints()) {
    if (taint.effect() == api::kPreferNoSchedule || api::tolerates(tolerations, taint)) continue;
    changed.changes.push_back("tolerate taint " + taint.key() +
                              (taint.value().empty() ? "" : "=" + taint.value()) + ":" +
                              taint.effect());
    auto& toleration = changed.tolerations.emplace_back();
    toleration.set_key(taint.key());
    toleration.set_operator_("Exists");
    toleration.set_effect(taint.effect());
  }
}

/// The pod with what it tolerates then: the node's taints may be others' as well.
PodInfo tolerant(const PodInfo& pod, const Changed& changed) {
  auto copy = std::make_shared<corev1::Pod>(*pod.pod);
  auto& tolerations = *copy->mutable_spec()->mutable_tolerations();
  tolerations.Add(changed.tolerations.begin(), changed.tolerations.end());
  return PodInfo(std::move(copy), pod.volumes);
}

/// Gives the node what it lacks for the pod.
void enlarge(const PodInfo& pod, const NodeInfo& node, Changed& changed) {
  const Resources& wanted = pod.shape->requests;
  auto& allocatable = *changed.node->mutable_status()->mutable_allocatable();
  const std::string& name = changed.node->metadata().name();
  const auto give = [&](const std::string& resource, std::int64_t lacks, const auto& quantity) {
    if (lacks <= 0) return;
    const api::Quantity more = quantity(lacks);
    const auto known = allocatable.find(resource);
    const auto before =
        known == allocatable.end() ? api::Quantity() : api::Quantity::read(known->second);
    allocatable[resource].set_string((before + more).toString());
    changed.changes.push_back(more.toString() + " " + resource + " more on " + name);
  };
  const auto units = [](std::int64_t amount) { return api::Quantity::of(amount); };
  const auto amountOf = [](const std::map<std::string, std::int64_t>& amounts,
                           const std::string& resource) {
    const auto found = amounts.find(resource);
    return found == amounts.end() ? 0 : found->second;
  };
  if (wanted.cpuMilli > 0)
    give("cpu", wanted.cpuMilli + node.requested().cpuMilli - node.allocatable().cpuMilli,
         [](std::int64_t milli) { return api::Quantity::ofMilli(milli); });
  if (wanted.memoryBytes > 0)
    give("memory",
         wanted.memoryBytes + node.requested().memoryBytes - node.allocatable().memoryBytes,
         [](std::int64_t bytes) {
           return api::Quantity::of(bytes, api::Quantity::Format::kBinary);
         });
  for (const auto& [resource, amount] : wanted.others) {
    give(resource,
         amount + amountOf(node.requested().others, resource) -
             amountOf(node.allocatable().others, resource),
         units);
  }
  give("pods", static_cast<std::int64_t>(node.pods().size()) + 1 - node.allocatablePods(), units);
}

/// What the pod's required affinity lacks near the node.
void addNeighbours(const PodInfo& pod, std::vector<std::string>& changes) {
  for (const auto& term : pod.shape->terms.affinity) {
    if (term.selector)
      changes.push_back("a pod with " + term.selector->toString() + " in the same " +
                        term.topologyKey);
  }
}

std::vector<Rejection> allRejections(const PodInfo& pod, const PodFilter& filter,
                                     const NodeInfo& node) {
  std::vector<Rejection> all;
  for (const auto& one : filters()) {
    if (auto reasons = one.reject(pod, node); !reasons.empty())
      all.push_back({one.name, std::move(reasons), one.resolvable});
  }
  if (auto rejection = filter.rejectOverNodes(node); !rejection.filter.empty())
    all.push_back(std::move(rejection));
  return all;
}

/// `changing` is a copy to try things on; it is left as it was. `unchanged` is for it.
void findRemedies(const PodInfo& asked, Snapshot::Slot slot, const PodFilter& unchanged,
                  Snapshot& changing, const std::vector<Budget>& budgets,
                  const Nominations& nominations, NodeExplanation& explanation) {
  const auto ahead = nominations.ahead(asked, changing.name(slot));
  const NodePtr original = std::make_shared<corev1::Node>(*changing.at(slot).node());
  Changed changed{std::make_shared<corev1::Node>(*original), {}, false, {}};
  admit(asked, changed);
  const PodInfo pod = changed.tolerations.empty() ? asked : tolerant(asked, changed);
  allowNode(pod.shape->spec, changed);
  changing.setNode(slot, changed.node);
  {
    const bool isUnchanged = !changed.isCountedAnew && changed.tolerations.empty();
    const PodFilter filter = isUnchanged ? unchanged : PodFilter(pod, changing);
    const NodeInfo& node = changing.at(slot);
    const Rejection rejection = rejectWith(ahead, filter, node);
    if (rejection.filter.empty()) {
      explanation.changes = changed.changes;
    } else {
      const auto leave = [&](std::int64_t ceiling) {
        return victimsOn(slot, pod, ceiling, filter, changing, budgets, nominations).victims;
      };
      auto victims = pod.preempts ? leave(pod.priority) : std::nullopt;
      explanation.preempts = victims && changed.changes.empty();
      if (!victims) victims = leave(std::numeric_limits<std::int64_t>::max());
      if (victims) {
        for (const auto& victim : victims->pods) explanation.leaving.push_back(victim->key);
        explanation.changes = changed.changes;
      }
      Changed larger{std::make_shared<corev1::Node>(*changed.node), changed.changes, false, {}};
      NodeInfo full = node;
      for (const auto& nominated : ahead) full.add(nominated);
      enlarge(pod, full, larger);
      NodeInfo grown = node;
      grown.setNode(larger.node);
      const Rejection left = rejectWith(ahead, filter, grown);
      if (left.filter.empty()) {
        explanation.changesInstead = !explanation.leaving.empty() && changed.changes.empty();
        if (explanation.leaving.empty() || explanation.changesInstead)
          explanation.changes = std::move(larger.changes);
      } else if (!victims && left.filter == "InterPodAffinity" && !left.resolvable) {
        explanation.changes = std::move(larger.changes);
        addNeighbours(pod, explanation.changes);
      }
    }
  }
  changing.setNode(slot, original);
}

std::size_t effort(const NodeExplanation& node) {
  if (node.isHopeless()) return std::numeric_limits<std::size_t>::max();
  return node.changesInstead ? std::min(node.changes.size(), node.leaving.size())
                             : node.changes.size() + node.leaving.size();
}

}  // namespace

Explanation explain(const PodInfo& pod, const Snapshot& snapshot, ResourceScoring resources,
                    const std::vector<Budget>& budgets, const Nominations& nominations) {
  Explanation explanation;
  const auto verdicts = filterNodes(pod, snapshot, nominations);
  explanation.choice = chooseAmong(pod, snapshot, verdicts, 0, resources);
  const PodFilter filter(pod, snapshot);
  Snapshot changing = snapshot;
  std::vector<Snapshot::Slot> feasible;
  std::vector<NodeExplanation> others;
  for (const auto& verdict : verdicts) {
    const auto slot = verdict.slot;
    NodeExplanation one;
    one.node = snapshot.name(slot);
    one.rejections = allRejections(pod, filter, snapshot.at(slot));
    if (one.fits() && !verdict.passes()) {
      one.rejections.push_back(verdict.rejection);
      for (const auto& nominated : nominations.ahead(pod, one.node))
        one.keptFor.push_back(nominated->key);
    }
    if (one.fits()) {
      feasible.push_back(slot);
      explanation.nodes.push_back(std::move(one));
      continue;
    }
    findRemedies(pod, slot, filter, changing, budgets, nominations, one);
    others.push_back(std::move(one));
  }
  const auto scores = scoreNodes(pod, snapshot, feasible, resources);
  for (std::size_t i = 0; i < feasible.size(); ++i) explanation.nodes[i].scores = scores[i];
  const auto isHigher = [](const NodeExplanation& a, const NodeExplanation& b) {
    if (a.scores.total() != b.scores.total()) return a.scores.total() > b.scores.total();
    return a.node < b.node;
  };
  std::ranges::sort(explanation.nodes, isHigher);
  const auto isNearer = [](const NodeExplanation& a, const NodeExplanation& b) {
    return std::pair(effort(a), a.node) < std::pair(effort(b), b.node);
  };
  std::ranges::sort(others, isNearer);
  std::ranges::move(others, std::back_inserter(explanation.nodes));
  return explanation;
}

}  // namespace podlab::scheduler
