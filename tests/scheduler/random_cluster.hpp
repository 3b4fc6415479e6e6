#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/rng.hpp"
#include "scheduler/naive.hpp"
#include "scheduler/node_index.hpp"
#include "tests/scheduler/builders.hpp"

namespace podlab::scheduler {

/// A cluster to which anything may happen, in amounts that fill nodes exactly and make scores
/// equal, followed by an index. Everything comes from `rng`.
class RandomCluster {
 public:
  RandomCluster(Rng& rng, NodeIndex::Options options)
      : rng_(rng),
        areAlike_(rng.chance(0.4)),
        names_(!areAlike_         ? 9
               : rng_.chance(0.5) ? 60
                                  : 12),
        largest_(rng_.chance(0.5) ? 900 : 60),
        index_(snapshot_, options) {
    for (int i = 0; i < 8; ++i) templates_.push_back(randomTemplate());
    if (!areAlike_) return;
    for (std::size_t i = 0; i < names_; ++i) setNode("n" + std::to_string(i));
    for (int i = 0; i < 150; ++i) placeSomewhere(randomPod());
  }

  const Snapshot& snapshot() const { return snapshot_; }

  /// One random event.
  void happen() {
    switch (rng_.below(10)) {
      case 0:
      case 1:
        return setNode("n" + std::to_string(rng_.below(names_)));
      case 2:
        return rng_.chance(0.3) ? removeNode() : void();
      case 3:
        return rng_.chance(0.2) ? setNamespace() : void();
      case 4:
        if (rng_.chance(0.2)) templates_[rng_.below(templates_.size())] = randomTemplate();
        return;
      case 5:
      case 6:
        return removePod();
      case 7:
        return terminatePod();
      default:
        return placeSomewhere(randomPod());
    }
  }

  std::shared_ptr<const PodInfo> randomPod() {
    auto pod = std::make_shared<corev1::Pod>(*templates_[rng_.below(templates_.size())].pod);
    pod->mutable_metadata()->set_name("p" + std::to_string(++pods_));
    return std::make_shared<PodInfo>(pod, VolumeNeeds{}, &shapes_, defaultOf(*pod));
  }

  /// What both say of a pod; the pod is placed where they say. Empty: they agree.
  struct Comparison {
    bool indexed = false;  ///< the index decided by itself
    bool found = false;
    std::string difference;
  };
  Comparison compare() {
    const auto pod = randomPod();
    const auto resources =
        rng_.chance(0.5) ? ResourceScoring::kLeastAllocated : ResourceScoring::kMostAllocated;
    const Snapshot::Slot cursor = rng_.below(snapshot_.slots() + 2);
    const Choice expected = chooseNaively(*pod, snapshot_, cursor, resources);
    const auto found = index_.choose(*pod, cursor, resources);
    Comparison comparison{found.has_value(), expected.found(), ""};
    if (found && (found->slot != expected.slot || found->score != expected.score)) {
      comparison.difference = "slot " + std::to_string(static_cast<std::int64_t>(found->slot)) +
                              " score " + std::to_string(found->score) + " instead of slot " +
                              std::to_string(static_cast<std::int64_t>(expected.slot)) + " score " +
                              std::to_string(expected.score) + "\n" + pod->pod->DebugString();
    }
    if (expected.found()) place(expected.slot, pod);
    return comparison;
  }

 private:
  struct Template {
    std::shared_ptr<corev1::Pod> pod;
  };

  std::string pick(std::initializer_list<const char*> choices) {
    return *(choices.begin() + rng_.below(choices.size()));
  }

  static std::optional<api::LabelSelector> defaultOf(const corev1::Pod& pod) {
    const auto found = pod.metadata().labels().find("svc");
    if (found == pod.metadata().labels().end()) return std::nullopt;
    return *api::LabelSelector::parse("svc=" + found->second);
  }

  void setNode(const std::string& name) {
    if (areAlike_) {
      auto node = makeNode(name, "4", rng_.chance(0.5) ? "8Gi" : "4Gi");
      auto& labels = *node->mutable_metadata()->mutable_labels();
      labels["kubernetes.io/hostname"] = name;
      labels["topology.kubernetes.io/zone"] = pick({"a", "b"});
      labels["disk"] = "ssd";
      return setNode(name, std::move(node));
    }
    auto node = makeNode(name, pick({"1", "2", "2", "4", "0"}), pick({"1Gi", "2Gi", "2Gi", "0"}),
                         pick({"2", "4", "110", "110"}));
    auto& labels = *node->mutable_metadata()->mutable_labels();
    labels["kubernetes.io/hostname"] = rng_.chance(0.06) ? "twice" : name;
    if (rng_.chance(0.03)) labels.erase("kubernetes.io/hostname");
    if (rng_.chance(0.9)) labels["topology.kubernetes.io/zone"] = pick({"a", "b", "c"});
    if (rng_.chance(0.5)) labels["disk"] = pick({"ssd", "hdd"});
    if (rng_.chance(0.5)) labels["cores"] = pick({"7", "8", "9"});
    labels["serial"] = name;
    if (rng_.chance(0.1)) node->mutable_spec()->set_unschedulable(true);
    while (rng_.chance(0.3)) {
      auto* taint = node->mutable_spec()->add_taints();
      taint->set_key(pick({"t1", "t2"}));
      taint->set_value(pick({"x", "y"}));
      taint->set_effect(pick(
          {"NoSchedule", "PreferNoSchedule", "PreferNoSchedule", "PreferNoSchedule", "NoExecute"}));
    }
    if (rng_.chance(0.3)) (*node->mutable_status()->mutable_allocatable())["gpu"].set_string("2");
    while (rng_.chance(0.3)) {
      auto* image = node->mutable_status()->add_images();
      image->add_names(pick({"app:1", "app:latest", "db:2"}));
      image->set_sizebytes(static_cast<std::int64_t>(rng_.below(1200)) << 20);
    }
    setNode(name, std::move(node));
  }

  void setNode(const std::string& name, NodePtr node) {
    const auto slot = snapshot_.slotOf(name);
    snapshot_.setNode(slot, std::move(node));
    index_.nodeChanged(slot);
  }

  void removeNode() {
    const auto slot = snapshot_.find("n" + std::to_string(rng_.below(names_)));
    if (slot == Snapshot::kNoSlot) return;
    // Its pods go with it, or later.
    if (rng_.chance(0.7)) {
      while (!snapshot_.at(slot).pods().empty()) removePodAt(slot, 0);
    }
    snapshot_.setNode(slot, nullptr);
    index_.nodeChanged(slot);
    if (snapshot_.at(slot).pods().empty()) snapshot_.release(slot);
  }

  void setNamespace() {
    api::Labels labels;
    if (rng_.chance(0.7)) labels["team"] = pick({"red", "blue"});
    snapshot_.setNamespace(pick({"one", "two"}), rng_.chance(0.2) ? nullptr : &labels);
    index_.namespacesChanged();
  }

  void place(Snapshot::Slot slot, std::shared_ptr<const PodInfo> pod) {
    snapshot_.at(slot).add(pod);
    index_.podAdded(slot, *pod);
  }

  /// Bound by somebody who asked nobody.
  void placeSomewhere(std::shared_ptr<const PodInfo> pod) {
    if (snapshot_.slots() == 0) return;
    const auto slot = rng_.below(snapshot_.slots());
    if (!snapshot_.name(slot).empty()) place(slot, std::move(pod));
  }

  void removePodAt(Snapshot::Slot slot, std::size_t i) {
    const auto pod = snapshot_.at(slot).pods()[i];
    snapshot_.at(slot).remove(pod->key);
    index_.podRemoved(slot, *pod);
  }

  void removePod() {
    if (snapshot_.slots() == 0) return;
    const auto slot = rng_.below(snapshot_.slots());
    const std::size_t pods = snapshot_.at(slot).pods().size();
    if (pods == 0) return;
    removePodAt(slot, rng_.below(pods));
    if (snapshot_.at(slot).pods().empty() && snapshot_.at(slot).node() == nullptr)
      snapshot_.release(slot);
  }

  void terminatePod() {
    if (snapshot_.slots() == 0) return;
    const auto slot = rng_.below(snapshot_.slots());
    const std::size_t pods = snapshot_.at(slot).pods().size();
    if (pods == 0) return;
    const auto pod = snapshot_.at(slot).pods()[rng_.below(pods)];
    auto ending = std::make_shared<PodInfo>(*pod);
    ending->isTerminating = true;
    snapshot_.at(slot).remove(pod->key);
    index_.podRemoved(slot, *pod);
    place(slot, std::move(ending));
  }

  void addExpression(corev1::NodeSelectorTerm& term) {
    if (rng_.chance(0.05)) {
      auto& field = *term.add_matchfields();
      field.set_key("metadata.name");
      field.set_operator_("In");
      field.add_values("n1");
      return;
    }
    auto& expression = *term.add_matchexpressions();
    switch (rng_.below(5)) {
      case 0:
        expression.set_key("cores");
        expression.set_operator_(pick({"Gt", "Lt"}));
        expression.add_values("8");
        break;
      case 1:
        expression.set_key("disk");
        expression.set_operator_(pick({"Exists", "DoesNotExist"}));
        break;
      case 2:
        expression.set_key("topology.kubernetes.io/zone");
        expression.set_operator_(pick({"In", "NotIn"}));
        expression.add_values(pick({"a", "b"}));
        break;
      case 3:
        if (!rng_.chance(0.2)) {
          expression.set_key("disk");
          expression.set_operator_("In");
          expression.add_values(pick({"ssd", "hdd"}));
          break;
        }
        expression.set_key("serial");
        expression.set_operator_("NotIn");
        expression.add_values("n1");
        break;
      default:
        expression.set_key("disk");
        expression.set_operator_("NotIn");
        expression.add_values("hdd");
    }
  }

  std::string topologyKey() {
    return pick({"kubernetes.io/hostname", "kubernetes.io/hostname", "topology.kubernetes.io/zone",
                 "topology.kubernetes.io/zone", "disk"});
  }

  void fillSelector(metav1::LabelSelector& selector) {
    if (rng_.chance(0.8)) (*selector.mutable_matchlabels())["app"] = pick({"a", "b", "c"});
    if (rng_.chance(0.2)) {
      auto& expression = *selector.add_matchexpressions();
      expression.set_key("tier");
      expression.set_operator_(pick({"Exists", "DoesNotExist"}));
    }
  }

  void fillTerm(corev1::PodAffinityTerm& term) {
    term.set_topologykey(topologyKey());
    if (rng_.chance(0.95)) fillSelector(*term.mutable_labelselector());
    if (rng_.chance(0.15)) term.add_namespaces(pick({"one", "two"}));
    if (rng_.chance(0.15)) {
      auto& selector = *term.mutable_namespaceselector();
      if (rng_.chance(0.7)) (*selector.mutable_matchlabels())["team"] = pick({"red", "blue"});
    }
    if (rng_.chance(0.1)) term.add_matchlabelkeys("tier");
    if (rng_.chance(0.1)) term.add_mismatchlabelkeys("tier");
  }

  void fillConstraint(corev1::TopologySpreadConstraint& constraint) {
    constraint.set_maxskew(1 + static_cast<int>(rng_.below(3)));
    constraint.set_topologykey(topologyKey());
    constraint.set_whenunsatisfiable(pick({"DoNotSchedule", "ScheduleAnyway"}));
    if (rng_.chance(0.95)) fillSelector(*constraint.mutable_labelselector());
    if (constraint.whenunsatisfiable() == "DoNotSchedule" && rng_.chance(0.3))
      constraint.set_mindomains(1 + static_cast<int>(rng_.below(areAlike_ ? names_ + 4 : 4)));
    if (rng_.chance(0.2)) constraint.set_nodeaffinitypolicy(pick({"Honor", "Ignore"}));
    if (rng_.chance(0.3)) constraint.set_nodetaintspolicy(pick({"Honor", "Ignore"}));
    if (rng_.chance(0.1)) constraint.add_matchlabelkeys("tier");
  }

  Template randomTemplate() {
    auto pod = areAlike_ ? makePod("template", std::to_string(rng_.below(largest_)) + "m",
                                   std::to_string(rng_.below(2 * largest_)) + "Mi")
                         : makePod("template", pick({"", "", "100m", "250m", "333m", "500m", "1"}),
                                   pick({"", "", "128Mi", "200Mi", "256Mi", "1Gi"}));
    auto& metadata = *pod->mutable_metadata();
    metadata.set_namespace_(pick({"one", "one", "two"}));
    (*metadata.mutable_labels())["app"] = pick({"a", "b", "c"});
    if (rng_.chance(0.3)) (*metadata.mutable_labels())["tier"] = pick({"x", "y"});
    if (rng_.chance(0.2)) (*metadata.mutable_labels())["svc"] = pick({"s", "t"});
    auto& spec = *pod->mutable_spec();
    auto& container = *spec.mutable_containers(0);
    container.set_image(pick({"app:1", "app", "db:2", "other:3"}));
    if (rng_.chance(0.1))
      (*container.mutable_resources()->mutable_requests())["gpu"].set_string("1");
    if (rng_.chance(0.05)) {
      auto* port = container.add_ports();
      port->set_hostport(80);
      port->set_protocol("TCP");
    }
    if (rng_.chance(0.2)) (*spec.mutable_nodeselector())["disk"] = pick({"ssd", "hdd"});
    while (rng_.chance(0.3)) {
      auto* toleration = spec.add_tolerations();
      if (rng_.chance(0.8)) toleration->set_key(pick({"t1", "t2"}));
      if (toleration->key().empty() || rng_.chance(0.5)) {
        toleration->set_operator_("Exists");
      } else {
        toleration->set_value(pick({"x", "y"}));
      }
      if (rng_.chance(0.5)) toleration->set_effect(pick({"NoSchedule", "PreferNoSchedule"}));
    }
    auto& affinity = *spec.mutable_affinity();
    if (rng_.chance(0.15)) {
      auto& required = *affinity.mutable_nodeaffinity()
                            ->mutable_requiredduringschedulingignoredduringexecution();
      do {
        auto& term = *required.add_nodeselectorterms();
        do addExpression(term);
        while (rng_.chance(0.3));
      } while (rng_.chance(0.3));
    }
    while (rng_.chance(0.25)) {
      auto& preferred =
          *affinity.mutable_nodeaffinity()->add_preferredduringschedulingignoredduringexecution();
      preferred.set_weight(1 + static_cast<int>(rng_.below(100)));
      addExpression(*preferred.mutable_preference());
    }
    while (rng_.chance(0.12))
      fillTerm(
          *affinity.mutable_podaffinity()->add_requiredduringschedulingignoredduringexecution());
    while (rng_.chance(0.2))
      fillTerm(*affinity.mutable_podantiaffinity()
                    ->add_requiredduringschedulingignoredduringexecution());
    while (rng_.chance(0.2)) {
      auto& weighted =
          *affinity.mutable_podaffinity()->add_preferredduringschedulingignoredduringexecution();
      weighted.set_weight(1 + static_cast<int>(rng_.below(100)));
      fillTerm(*weighted.mutable_podaffinityterm());
    }
    while (rng_.chance(0.2)) {
      auto& weighted = *affinity.mutable_podantiaffinity()
                            ->add_preferredduringschedulingignoredduringexecution();
      weighted.set_weight(1 + static_cast<int>(rng_.below(100)));
      fillTerm(*weighted.mutable_podaffinityterm());
    }
    while (rng_.chance(0.45)) fillConstraint(*spec.add_topologyspreadconstraints());
    return {pod};
  }

  Rng& rng_;
  const bool areAlike_;
  const std::size_t names_;
  const std::uint64_t largest_;  ///< request of a pod for one of many like nodes: milli-CPUs
  Snapshot snapshot_;
  PodShapes shapes_;
  NodeIndex index_;
  std::vector<Template> templates_;
  int pods_ = 0;
};

}  // namespace podlab::scheduler
