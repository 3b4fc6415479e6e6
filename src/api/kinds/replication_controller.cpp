#include "core_v1_workloads.pb.h"

#include "api/kinds/pod_template.hpp"
#include "api/kinds/replica_rules.hpp"
#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

using corev1::ReplicationController;

/// Selector and labels come from the template.
void applyDefaults(ReplicationController& controller) {
  auto& spec = *controller.mutable_spec();
  const Labels& labels = spec.template_().metadata().labels();
  if (spec.selector().empty()) *spec.mutable_selector() = labels;
  if (controller.metadata().labels().empty() && !labels.empty())
    *controller.mutable_metadata()->mutable_labels() = labels;
  if (!spec.has_replicas()) spec.set_replicas(1);
  applyPodTemplateDefaults(*spec.mutable_template_());
}

std::vector<Cause> validate(const ReplicationController& controller) {
  FieldErrors errors;
  const auto& spec = controller.spec();
  const FieldPath path("spec");
  errors.notNegative(path.child("minReadySeconds"), spec.minreadyseconds());
  errors.notNegative(path.child("replicas"), spec.replicas());
  validateRunningTemplate(spec.template_(), "ReplicationController", path.child("template"),
                          errors);
  if (spec.selector().empty()) {
    errors.required(path.child("selector"));
  } else {
    validateLabels(spec.selector(), path.child("selector"), errors);
    const Labels& labels = spec.template_().metadata().labels();
    const bool matches = std::ranges::all_of(spec.selector(), [&](const auto& wanted) {
      const auto label = labels.find(wanted.first);
      return label != labels.end() && label->second == wanted.second;
    });
    if (!matches) selectorMismatch(spec.template_(), path, errors);
  }
  return errors.take();
}

}  // namespace

Kind replicationControllerKind() {
  using Controller = ReplicationController;
  return {
      .group = "",
      .version = "v1",
      .kind = "ReplicationController",
      .plural = "replicationcontrollers",
      .singular = "replicationcontroller",
      .shortNames = {"rc"},
      .categories = {"all"},
      .scope = Scope::kNamespaced,
      .prototype = &Controller::default_instance(),
      .columns = replicaColumns<Controller>(),
      .strategy = {.hasStatus = true,
                   .hasGeneration = true,
                   .applyDefaults = writes<Controller>(applyDefaults),
                   .prepareForCreate =
                       writes<Controller>([](Controller& made) { made.clear_status(); }),
                   .validate = reads<Controller>(validate),
                   .validateStatusUpdate = validatesReplicaStatus<Controller>(),
                   .scaling = scalingOf<Controller>(),
                   .fieldLabels = {replicasLabel<Controller>()},
                   .dependents = Dependents::kOrphan},
  };
}

}  // namespace podlab::api
