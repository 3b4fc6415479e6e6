#include <algorithm>

#include "api/int_or_percent.hpp"
#include "api/owners.hpp"
#include "api/selectors.hpp"
#include "api/times.hpp"
#include "cli/describe_object.hpp"

namespace podlab::cli {
namespace {

using Pods = std::vector<std::shared_ptr<const corev1::Pod>>;
using SetPtr = std::shared_ptr<const appsv1::ReplicaSet>;

constexpr const char* kRevision = "deployment.kubernetes.io/revision";

std::string textOf(const metav1::LabelSelector& selector) {
  const auto parsed = api::LabelSelector::of(selector);
  return parsed ? parsed->toString() : "<error>";
}

std::string textOf(const api::Labels& labels) {
  metav1::LabelSelector selector;
  *selector.mutable_matchlabels() = labels;
  return textOf(selector);
}

template <typename Conditions>
void addConditions(Description& out, const Conditions& conditions) {
  if (conditions.empty()) return;
  out.line(0, {"Conditions:"});
  out.header(1, {"Type", "Status", "Reason"});
  for (const auto& condition : conditions)
    out.line(1, {condition.type() + " ", condition.status(), condition.reason()});
}

std::string podsText(const Pods& pods) {
  const auto count = [&](std::string_view phase) {
    return std::to_string(std::ranges::count_if(
        pods, [&](const auto& pod) { return pod->status().phase() == phase; }));
  };
  return count("Running") + " Running / " + count("Pending") + " Waiting / " + count("Succeeded") +
         " Succeeded / " + count("Failed") + " Failed";
}

template <typename T>
std::string describe(const T& object, const Pods& pods, const Events& events, WallTime now) {
  const auto& metadata = object.metadata();
  Description out;
  out.field(0, "Name", metadata.name());
  out.field(0, "Namespace", metadata.namespace_());
  out.field(0, "Selector", textOf(object.spec().selector()));
  out.pairs(0, "Labels", metadata.labels());
  out.pairs(0, "Annotations", metadata.annotations(), ": ");
  if (const auto* owner = api::controllerOf(metadata))
    out.field(0, "Controlled By", owner->kind() + "/" + owner->name());
  out.field(0, "Replicas",
            std::to_string(object.status().replicas()) + " current / " +
                std::to_string(object.spec().replicas()) + " desired");
  out.field(0, "Pods Status", podsText(pods));
  addPodTemplate(out, object.spec().template_());
  addConditions(out, object.status().conditions());
  out.events(events, now);
  return out.text();
}

std::string setText(const SetPtr& set) {
  return set->metadata().name() + " (" + std::to_string(set->status().replicas()) + "/" +
         std::to_string(set->spec().replicas()) + " replicas created)";
}

}  // namespace

std::string describeReplicas(const appsv1::ReplicaSet& set, const Pods& pods, const Events& events,
                             WallTime now) {
  return describe(set, pods, events, now);
}

std::string describeReplicas(const corev1::ReplicationController& controller, const Pods& pods,
                             const Events& events, WallTime now) {
  return describe(controller, pods, events, now);
}

std::string describeDeployment(const appsv1::Deployment& deployment, std::vector<SetPtr> sets,
                               const Events& events, WallTime now) {
  const auto& metadata = deployment.metadata();
  const auto& spec = deployment.spec();
  const auto& status = deployment.status();
  Description out;
  out.field(0, "Name", metadata.name());
  out.field(0, "Namespace", metadata.namespace_());
  out.field(0, "CreationTimestamp", formatDate(metadata.creationtimestamp()));
  out.pairs(0, "Labels", metadata.labels());
  out.pairs(0, "Annotations", metadata.annotations(), ": ");
  out.field(0, "Selector", textOf(spec.selector()));
  out.field(0, "Replicas",
            std::to_string(spec.replicas()) + " desired | " +
                std::to_string(status.updatedreplicas()) + " updated | " +
                std::to_string(status.replicas()) + " total | " +
                std::to_string(status.availablereplicas()) + " available | " +
                std::to_string(status.unavailablereplicas()) + " unavailable");
  out.field(0, "StrategyType", spec.strategy().type());
  out.field(0, "MinReadySeconds", std::to_string(spec.minreadyseconds()));
  if (spec.strategy().has_rollingupdate()) {
    const auto& rolling = spec.strategy().rollingupdate();
    out.field(0, "RollingUpdateStrategy",
              api::textOf(rolling.maxunavailable()) + " max unavailable, " +
                  api::textOf(rolling.maxsurge()) + " max surge");
  }
  addPodTemplate(out, spec.template_());
  addConditions(out, status.conditions());
  const auto revisionOf = [](const auto& object) {
    const auto found = object.annotations().find(kRevision);
    return found == object.annotations().end() ? std::string() : found->second;
  };
  std::string older;
  std::string newest;
  std::ranges::sort(sets, {}, [](const SetPtr& set) {
    return std::pair(set->metadata().creationtimestamp().seconds(), set->metadata().name());
  });
  for (const auto& set : sets) {
    const bool isNewest = revisionOf(set->metadata()) == revisionOf(metadata);
    std::string& text = isNewest ? newest : older;
    text += (text.empty() ? "" : ", ") + setText(set);
  }
  out.field(0, "OldReplicaSets", older.empty() ? "<none>" : older);
  out.field(0, "NewReplicaSet", newest.empty() ? "<none>" : newest);
  out.events(events, now);
  return out.text();
}

}  // namespace podlab::cli
