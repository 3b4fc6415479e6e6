#include <algorithm>

#include "api/int_or_percent.hpp"
#include "api/owners.hpp"
#include "api/times.hpp"
#include "cli/describe_object.hpp"

namespace podlab::cli {
namespace {

using SetPtr = std::shared_ptr<const appsv1::ReplicaSet>;

constexpr const char* kRevision = "deployment.kubernetes.io/revision";

void addStatuses(Description& out, const Pods& pods) {
  const auto count = [&](std::string_view phase) {
    return std::to_string(std::ranges::count_if(
        pods, [&](const auto& pod) { return pod->status().phase() == phase; }));
  };
  out.field(0, "Pods Status",
            count("Running") + " Running / " + count("Pending") + " Waiting / " +
                count("Succeeded") + " Succeeded / " + count("Failed") + " Failed");
}

void addName(Description& out, const metav1::ObjectMeta& metadata) {
  out.field(0, "Name", metadata.name());
  out.field(0, "Namespace", metadata.namespace_());
}

void addLabels(Description& out, const metav1::ObjectMeta& metadata) {
  out.pairs(0, "Labels", metadata.labels());
  out.annotations(0, "Annotations", metadata.annotations());
}

template <typename T>
Description describe(const T& object, const std::string& selector, const Pods& pods) {
  const auto& metadata = object.metadata();
  Description out;
  addName(out, metadata);
  out.field(0, "Selector", selector);
  addLabels(out, metadata);
  if (const auto* owner = api::controllerOf(metadata))
    out.field(0, "Controlled By", owner->kind() + "/" + owner->name());
  out.field(0, "Replicas",
            std::to_string(object.status().replicas()) + " current / " +
                std::to_string(object.spec().replicas()) + " desired");
  addStatuses(out, pods);
  addPodTemplate(out, object.spec().template_());
  out.conditions(object.status().conditions());
  return out;
}

void addClaimTemplates(Description& out, const appsv1::StatefulSetSpec& spec) {
  if (spec.volumeclaimtemplates().empty()) {
    out.field(0, "Volume Claims", "<none>");
    return;
  }
  out.line(0, {"Volume Claims:"});
  for (const auto& claim : spec.volumeclaimtemplates()) {
    out.field(1, "Name", claim.metadata().name());
    out.field(1, "StorageClass", claim.spec().storageclassname());
    out.pairs(1, "Labels", claim.metadata().labels());
    out.annotations(1, "Annotations", claim.metadata().annotations());
    const auto& requests = claim.spec().resources().requests();
    const auto storage = requests.find("storage");
    out.field(1, "Capacity", storage == requests.end() ? "<default>" : storage->second.string());
    out.field(1, "Access Modes", "[" + joined(claim.spec().accessmodes(), " ") + "]");
  }
}

std::string setText(const SetPtr& set) {
  return set->metadata().name() + " (" + std::to_string(set->status().replicas()) + "/" +
         std::to_string(set->spec().replicas()) + " replicas created)";
}

}  // namespace

Description describeReplicas(const appsv1::ReplicaSet& set, const Pods& pods) {
  return describe(set, selectorText(set.spec().selector()), pods);
}

Description describeReplicas(const corev1::ReplicationController& controller, const Pods& pods) {
  return describe(controller, pairsText(controller.spec().selector()), pods);
}

Description describeReplicas(const appsv1::DaemonSet& set, const Pods& pods) {
  const auto& spec = set.spec();
  const auto& status = set.status();
  Description out;
  addName(out, set.metadata());
  out.field(0, "Selector", selectorText(spec.selector()));
  out.field(0, "Node-Selector", pairsText(spec.template_().spec().nodeselector()));
  addLabels(out, set.metadata());
  const auto count = [&](const char* what, std::int32_t number) {
    out.line(0, {what + (": " + std::to_string(number))});
  };
  count("Desired Number of Nodes Scheduled", status.desirednumberscheduled());
  count("Current Number of Nodes Scheduled", status.currentnumberscheduled());
  count("Number of Nodes Scheduled with Up-to-date Pods", status.updatednumberscheduled());
  count("Number of Nodes Scheduled with Available Pods", status.numberavailable());
  count("Number of Nodes Misscheduled", status.numbermisscheduled());
  addStatuses(out, pods);
  addPodTemplate(out, spec.template_());
  return out;
}

Description describeReplicas(const appsv1::StatefulSet& set, const Pods& pods) {
  const auto& spec = set.spec();
  Description out;
  addName(out, set.metadata());
  out.field(0, "CreationTimestamp", formatDate(set.metadata().creationtimestamp()));
  out.field(0, "Selector", selectorText(spec.selector()));
  addLabels(out, set.metadata());
  out.field(0, "Replicas",
            std::to_string(spec.replicas()) + " desired | " +
                std::to_string(set.status().replicas()) + " total");
  out.field(0, "Update Strategy", spec.updatestrategy().type());
  if (spec.updatestrategy().has_rollingupdate()) {
    const auto& rolling = spec.updatestrategy().rollingupdate();
    if (rolling.has_partition()) out.field(1, "Partition", std::to_string(rolling.partition()));
    if (rolling.has_maxunavailable())
      out.field(1, "MaxUnavailable", api::textOf(rolling.maxunavailable()));
  }
  addStatuses(out, pods);
  addPodTemplate(out, spec.template_());
  addClaimTemplates(out, spec);
  return out;
}

Description describeDeployment(const appsv1::Deployment& deployment, std::vector<SetPtr> sets) {
  const auto& metadata = deployment.metadata();
  const auto& spec = deployment.spec();
  const auto& status = deployment.status();
  Description out;
  addName(out, metadata);
  out.field(0, "CreationTimestamp", formatDate(metadata.creationtimestamp()));
  addLabels(out, metadata);
  out.field(0, "Selector", selectorText(spec.selector()));
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
  out.conditions(status.conditions());
  const auto revisionOf = [](const auto& object) {
    const auto found = object.annotations().find(kRevision);
    return found == object.annotations().end() ? std::string() : found->second;
  };
  std::vector<std::string> older, newest;
  std::ranges::sort(sets, {}, [](const SetPtr& set) {
    return std::pair(set->metadata().creationtimestamp().seconds(), set->metadata().name());
  });
  for (const auto& set : sets) {
    const bool isNewest = revisionOf(set->metadata()) == revisionOf(metadata);
    (isNewest ? newest : older).push_back(setText(set));
  }
  out.field(0, "OldReplicaSets", orNone(joined(older, ", ")));
  out.field(0, "NewReplicaSet", orNone(joined(newest, ", ")));
  return out;
}

}  // namespace podlab::cli
