#include "apps_v1.pb.h"

#include "api/kinds/pod_template.hpp"
#include "api/kinds/replica_rules.hpp"
#include "api/kinds/rows.hpp"

namespace podlab::api {
namespace {

using appsv1::ReplicaSet;

void applyDefaults(ReplicaSet& set) {
  if (!set.spec().has_replicas()) set.mutable_spec()->set_replicas(1);
  applyPodTemplateDefaults(*set.mutable_spec()->mutable_template_());
}

std::vector<Cause> validate(const ReplicaSet& set) {
  FieldErrors errors;
  const FieldPath spec("spec");
  errors.notNegative(spec.child("replicas"), set.spec().replicas());
  validatePodsOfSpec(set.spec(), "ReplicaSet", spec, errors);
  return errors.take();
}

std::vector<Cause> validateUpdate(const ReplicaSet& now, const ReplicaSet& before) {
  FieldErrors errors;
  validateSameSelector(now.spec().selector(), before.spec().selector(), errors);
  return errors.take();
}

}  // namespace

Kind replicaSetKind() {
  return {
      .group = "apps",
      .version = "v1",
      .kind = "ReplicaSet",
      .plural = "replicasets",
      .singular = "replicaset",
      .shortNames = {"rs"},
      .categories = {"all"},
      .scope = Scope::kNamespaced,
      .prototype = &ReplicaSet::default_instance(),
      .columns = replicaColumns<ReplicaSet>(),
      .strategy = {.hasStatus = true,
                   .hasGeneration = true,
                   .applyDefaults = writes<ReplicaSet>(applyDefaults),
                   .prepareForCreate =
                       writes<ReplicaSet>([](ReplicaSet& set) { set.clear_status(); }),
                   .validate = reads<ReplicaSet>(validate),
                   .validateUpdate = compares<ReplicaSet>(validateUpdate),
                   .validateStatusUpdate = validatesReplicaStatus<ReplicaSet>(),
                   .scaling = scalingOf<ReplicaSet>(),
                   .fieldLabels = {replicasLabel<ReplicaSet>()}},
  };
}

}  // namespace podlab::api
