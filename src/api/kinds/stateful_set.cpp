#include <algorithm>

#include "apps_v1.pb.h"

#include "api/codec.hpp"
#include "api/int_or_percent.hpp"
#include "api/kinds/pod_template.hpp"
#include "api/kinds/rules.hpp"
#include "api/kinds/volume_rules.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using appsv1::StatefulSet;
using appsv1::StatefulSetSpec;

void applyDefaults(StatefulSet& set) {
  StatefulSetSpec& spec = *set.mutable_spec();
  if (spec.podmanagementpolicy().empty()) spec.set_podmanagementpolicy("OrderedReady");
  auto& strategy = *spec.mutable_updatestrategy();
  if (strategy.type().empty()) strategy.set_type("RollingUpdate");
  if (strategy.type() == "RollingUpdate" && !strategy.rollingupdate().has_partition())
    strategy.mutable_rollingupdate()->set_partition(0);
  auto& retention = *spec.mutable_persistentvolumeclaimretentionpolicy();
  if (retention.whendeleted().empty()) retention.set_whendeleted("Retain");
  if (retention.whenscaled().empty()) retention.set_whenscaled("Retain");
  if (!spec.has_replicas()) spec.set_replicas(1);
  if (!spec.has_revisionhistorylimit()) spec.set_revisionhistorylimit(10);
  applyPodTemplateDefaults(*spec.mutable_template_());
  for (auto& claim : *spec.mutable_volumeclaimtemplates()) applyClaimDefaults(claim);
}

void validateStrategy(const appsv1::StatefulSetUpdateStrategy& strategy, const FieldPath& path,
                      FieldErrors& errors) {
  const FieldPath rolling = path.child("rollingUpdate");
  if (strategy.type() == "OnDelete") {
    if (strategy.has_rollingupdate()) {
      errors.invalidJson(rolling, toJson(strategy.rollingupdate()),
                         "only allowed for updateStrategy 'RollingUpdate'");
    }
    return;
  }
  if (strategy.type() != "RollingUpdate") {
    errors.invalidJson(path, toJson(strategy), "must be 'RollingUpdate' or 'OnDelete'");
    return;
  }
  errors.notNegative(rolling.child("partition"), strategy.rollingupdate().partition());
  if (!strategy.rollingupdate().has_maxunavailable()) return;
  const auto& unavailable = strategy.rollingupdate().maxunavailable();
  validateIntOrPercent(unavailable, true, rolling.child("maxUnavailable"), errors);
  if (const auto scaled = scaledValue(unavailable, 100, true); scaled && *scaled == 0) {
    errors.invalidJson(rolling.child("maxUnavailable"), toJsonValue(unavailable), "cannot be 0");
  }
}

void validateRetention(const appsv1::StatefulSetPersistentVolumeClaimRetentionPolicy& policy,
                       const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kPolicies[] = {"Delete", "Retain"};
  errors.oneOf(path.child("whenDeleted"), policy.whendeleted(), kPolicies);
  errors.oneOf(path.child("whenScaled"), policy.whenscaled(), kPolicies);
}

/// With the volumes that a pod of the set has for the claims.
StatefulSetSpec withClaims(StatefulSetSpec spec) {
  auto& volumes = *spec.mutable_template_()->mutable_spec()->mutable_volumes();
  for (const auto& claim : spec.volumeclaimtemplates()) {
    const std::string& name = claim.metadata().name();
    if (std::ranges::find(volumes, name, &corev1::Volume::name) != volumes.end()) continue;
    corev1::Volume& volume = *volumes.Add();
    volume.set_name(name);
    volume.mutable_volumesource()->mutable_persistentvolumeclaim()->set_claimname(name);
  }
  return spec;
}

std::vector<Cause> validate(const StatefulSet& set) {
  FieldErrors errors;
  const FieldPath path("spec");
  const StatefulSetSpec& spec = set.spec();
  if (spec.podmanagementpolicy() != "OrderedReady" && spec.podmanagementpolicy() != "Parallel") {
    errors.invalid(path.child("podManagementPolicy"), spec.podmanagementpolicy(),
                   "must be 'OrderedReady' or 'Parallel'");
  }
  validateStrategy(spec.updatestrategy(), path.child("updateStrategy"), errors);
  validateRetention(spec.persistentvolumeclaimretentionpolicy(),
                    path.child("persistentVolumeClaimRetentionPolicy"), errors);
  errors.notNegative(path.child("replicas"), spec.replicas());
  errors.notNegative(path.child("ordinals").child("start"), spec.ordinals().start());
  errors.notNegative(path.child("revisionHistoryLimit"), spec.revisionhistorylimit());
  if (!spec.servicename().empty()) {
    errors.invalidEach(path.child("serviceName"), spec.servicename(),
                       faultsOfDns1123Subdomain(spec.servicename()));
  }
  validatePodsOfSpec(withClaims(spec), "StatefulSet", path, errors);
  return errors.take();
}

std::vector<Cause> validateUpdate(const StatefulSet& now, const StatefulSet& before) {
  FieldErrors errors;
  StatefulSetSpec rest = now.spec();
  const StatefulSetSpec& old = before.spec();
  rest.set_replicas(old.replicas());
  *rest.mutable_template_() = old.template_();
  *rest.mutable_updatestrategy() = old.updatestrategy();
  rest.set_minreadyseconds(old.minreadyseconds());
  *rest.mutable_ordinals() = old.ordinals();
  *rest.mutable_persistentvolumeclaimretentionpolicy() = old.persistentvolumeclaimretentionpolicy();
  rest.set_revisionhistorylimit(old.revisionhistorylimit());
  if (!sameMessage(rest, old)) {
    errors.forbidden(FieldPath("spec"),
                     "updates to statefulset spec for fields other than 'replicas', 'ordinals', "
                     "'template', 'updateStrategy', 'revisionHistoryLimit', "
                     "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
  }
  return errors.take();
}

}  // namespace

Kind statefulSetKind() {
  return {
      .group = "apps",
      .version = "v1",
      .kind = "StatefulSet",
      .plural = "statefulsets",
      .singular = "statefulset",
      .shortNames = {"sts"},
      .categories = {"all"},
      .scope = Scope::kNamespaced,
      .prototype = &StatefulSet::default_instance(),
      .columns = {nameColumn(),
                  column<StatefulSet>("Ready", 0,
                                      [](const StatefulSet& set) {
                                        return std::to_string(set.status().readyreplicas()) + "/" +
                                               std::to_string(set.spec().replicas());
                                      }),
                  ageColumn(),
                  column<StatefulSet>("Containers", 1,
                                      [](const StatefulSet& set) {
                                        return containerNamesCell(set.spec().template_());
                                      }),
                  column<StatefulSet>(
                      "Images", 1,
                      [](const StatefulSet& set) { return imagesCell(set.spec().template_()); })},
      .strategy = {.hasStatus = true,
                   .hasGeneration = true,
                   .faultsOfName = faultsOfDns1123Label,
                   .applyDefaults = writes<StatefulSet>(applyDefaults),
                   .prepareForCreate =
                       writes<StatefulSet>([](StatefulSet& set) { set.clear_status(); }),
                   .validate = reads<StatefulSet>(validate),
                   .validateUpdate = compares<StatefulSet>(validateUpdate),
                   .scaling = scalingOf<StatefulSet>()},
  };
}

}  // namespace podlab::api
