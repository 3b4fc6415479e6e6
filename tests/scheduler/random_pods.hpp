#pragma once
#include <memory>
#include <string>

#include "common/rng.hpp"
#include "tests/scheduler/builders.hpp"

namespace podlab::scheduler {

inline corev1::PodAffinityTerm termOf(const std::string& app, const std::string& key) {
  corev1::PodAffinityTerm term;
  (*term.mutable_labelselector()->mutable_matchlabels())["app"] = app;
  term.set_topologykey(key);
  return term;
}

/// A pod that wants one thing or another of its node and of other pods; amounts fill nodes exactly.
inline std::shared_ptr<corev1::Pod> randomPod(const std::string& name, Rng& rng) {
  auto pod =
      makePod(name, std::to_string(250 * rng.below(5)) + "m", std::to_string(rng.below(3)) + "Gi");
  const std::string app(1, static_cast<char>('a' + rng.below(3)));
  const std::string other(1, static_cast<char>('a' + rng.below(3)));
  (*pod->mutable_metadata()->mutable_labels())["app"] = app;
  auto& spec = *pod->mutable_spec();
  spec.set_priority(static_cast<std::int32_t>(rng.below(3)) * 10 - 10);
  if (rng.chance(0.2)) spec.set_preemptionpolicy("Never");
  const char* key = rng.chance(0.5) ? "zone" : "host";
  switch (rng.below(9)) {
    case 0:
      *spec.mutable_affinity()
           ->mutable_podantiaffinity()
           ->add_requiredduringschedulingignoredduringexecution() = termOf(other, key);
      break;
    case 1: {
      auto term = termOf(other, key);
      if (rng.chance(0.4))
        (*term.mutable_namespaceselector()->mutable_matchlabels())["team"] = "red";
      *spec.mutable_affinity()
           ->mutable_podaffinity()
           ->add_requiredduringschedulingignoredduringexecution() = term;
      break;
    }
    case 2: {
      auto& constraint = *spec.add_topologyspreadconstraints();
      constraint.set_topologykey(key);
      constraint.set_maxskew(1);
      constraint.set_whenunsatisfiable("DoNotSchedule");
      (*constraint.mutable_labelselector()->mutable_matchlabels())["app"] = app;
      if (rng.chance(0.3)) constraint.set_nodetaintspolicy("Honor");
      break;
    }
    case 3:
      (*spec.mutable_nodeselector())["disk"] = "ssd";
      break;
    case 4:
      spec.mutable_containers(0)->add_ports()->set_hostport(80);
      break;
    case 5:
      spec.add_tolerations()->set_operator_("Exists");
      break;
    default:
      break;
  }
  return pod;
}

/// A node with some of the labels and taints that such pods ask for.
inline std::shared_ptr<corev1::Node> randomNode(const std::string& name, Rng& rng) {
  auto node = makeNode(name, std::to_string(1 + rng.below(2)), "4Gi", "6");
  auto& labels = *node->mutable_metadata()->mutable_labels();
  labels["host"] = name;
  if (rng.chance(0.8)) labels["zone"] = std::string(1, static_cast<char>('x' + rng.below(2)));
  if (rng.chance(0.5)) labels["disk"] = "ssd";
  if (rng.chance(0.2)) {
    auto& taint = *node->mutable_spec()->add_taints();
    taint.set_key("dedicated");
    taint.set_effect("NoSchedule");
  }
  if (rng.chance(0.1)) node->mutable_spec()->set_unschedulable(true);
  return node;
}

inline PodPtr boundTo(const corev1::Pod& pod, const std::string& node) {
  auto bound = std::make_shared<corev1::Pod>(pod);
  bound->mutable_spec()->set_nodename(node);
  return bound;
}

}  // namespace podlab::scheduler
