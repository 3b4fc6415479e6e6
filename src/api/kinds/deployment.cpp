#include "apps_v1.pb.h"

#include "api/int_or_percent.hpp"
#include "api/kinds/pod_template.hpp"
#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

using appsv1::Deployment;
using appsv1::DeploymentSpec;

constexpr std::string_view kRecreate = "Recreate";
constexpr std::string_view kRollingUpdate = "RollingUpdate";

void setQuarter(intstr::IntOrString& value) {
  value.set_type(1);
  value.set_strval("25%");
}

void applyDefaults(Deployment& deployment) {
  auto& spec = *deployment.mutable_spec();
  if (!spec.has_replicas()) spec.set_replicas(1);
  auto& strategy = *spec.mutable_strategy();
  if (strategy.type().empty()) strategy.set_type(std::string(kRollingUpdate));
  if (strategy.type() == kRollingUpdate) {
    auto& rolling = *strategy.mutable_rollingupdate();
    if (!rolling.has_maxunavailable()) setQuarter(*rolling.mutable_maxunavailable());
    if (!rolling.has_maxsurge()) setQuarter(*rolling.mutable_maxsurge());
  }
  if (!spec.has_revisionhistorylimit()) spec.set_revisionhistorylimit(10);
  if (!spec.has_progressdeadlineseconds()) spec.set_progressdeadlineseconds(600);
  applyPodTemplateDefaults(*spec.mutable_template_());
}

void validateStrategy(const appsv1::DeploymentStrategy& strategy, const FieldPath& path,
                      FieldErrors& errors) {
  constexpr std::string_view kTypes[] = {kRecreate, kRollingUpdate};
  const FieldPath rolling = path.child("rollingUpdate");
  if (strategy.type() == kRecreate && strategy.has_rollingupdate()) {
    errors.forbidden(rolling, "may not be specified when strategy `type` is 'Recreate'");
  } else if (strategy.type() == kRollingUpdate) {
    const auto& update = strategy.rollingupdate();
    validateIntOrPercent(update.maxunavailable(), true, rolling.child("maxUnavailable"), errors);
    validateIntOrPercent(update.maxsurge(), false, rolling.child("maxSurge"), errors);
    const auto unavailable = scaledValue(update.maxunavailable(), 100, true);
    const auto surge = scaledValue(update.maxsurge(), 100, true);
    if (unavailable && *unavailable == 0 && surge && *surge == 0) {
      const FieldPath at = rolling.child("maxUnavailable");
      constexpr std::string_view kWhy = "may not be 0 when `maxSurge` is 0";
      if (update.maxunavailable().type() == 1) {
        errors.invalid(at, update.maxunavailable().strval(), kWhy);
      } else {
        errors.invalid(at, std::int64_t{update.maxunavailable().intval()}, kWhy);
      }
    }
  } else {
    errors.oneOf(path.child("type"), strategy.type(), kTypes);
  }
}

std::vector<Cause> validate(const Deployment& deployment) {
  FieldErrors errors;
  const auto& spec = deployment.spec();
  const FieldPath path("spec");
  errors.notNegative(path.child("replicas"), spec.replicas());
  validatePodsOfSpec(spec, "ReplicaSet", path, errors);
  validateStrategy(spec.strategy(), path.child("strategy"), errors);
  errors.notNegative(path.child("revisionHistoryLimit"), spec.revisionhistorylimit());
  const FieldPath deadline = path.child("progressDeadlineSeconds");
  errors.notNegative(deadline, spec.progressdeadlineseconds());
  if (spec.progressdeadlineseconds() <= spec.minreadyseconds()) {
    errors.invalid(deadline, std::int64_t{spec.progressdeadlineseconds()},
                   "must be greater than minReadySeconds");
  }
  return errors.take();
}

std::vector<Cause> validateUpdate(const Deployment& now, const Deployment& before) {
  FieldErrors errors;
  validateSameSelector(now.spec().selector(), before.spec().selector(), errors);
  return errors.take();
}

std::vector<Cause> validateStatusUpdate(const Deployment& now, const Deployment& before) {
  const auto& status = now.status();
  FieldErrors errors;
  const FieldPath path("status");
  const auto check = [&](std::string_view name, std::int64_t count) {
    errors.notNegative(path.child(name), count);
    if (count > status.replicas())
      errors.invalid(path.child(name), count, "cannot be greater than status.replicas");
  };
  errors.notNegative(path.child("observedGeneration"), status.observedgeneration());
  errors.notNegative(path.child("replicas"), status.replicas());
  check("updatedReplicas", status.updatedreplicas());
  check("readyReplicas", status.readyreplicas());
  check("availableReplicas", status.availablereplicas());
  errors.notNegative(path.child("unavailableReplicas"), status.unavailablereplicas());
  if (status.availablereplicas() > status.readyreplicas()) {
    errors.invalid(path.child("availableReplicas"), std::int64_t{status.availablereplicas()},
                   "cannot be greater than readyReplicas");
  }
  const FieldPath collisions = path.child("collisionCount");
  errors.notNegative(collisions, status.collisioncount());
  if (status.collisioncount() < before.status().collisioncount()) {
    errors.invalid(collisions, std::int64_t{status.collisioncount()}, "cannot be decremented");
  }
  return errors.take();
}

}  // namespace

Kind deploymentKind() {
  const auto number = [](std::string_view name, auto read) {
    return column<Deployment>(
        name, 0, [read](const Deployment& object) { return std::to_string(read(object)); });
  };
  return {
      .group = "apps",
      .version = "v1",
      .kind = "Deployment",
      .plural = "deployments",
      .singular = "deployment",
      .shortNames = {"deploy"},
      .categories = {"all"},
      .scope = Scope::kNamespaced,
      .prototype = &Deployment::default_instance(),
      .columns =
          {nameColumn(),
           column<Deployment>("Ready", 0,
                              [](const Deployment& object) {
                                return std::to_string(object.status().readyreplicas()) + "/" +
                                       std::to_string(object.spec().replicas());
                              }),
           number("Up-to-date",
                  [](const Deployment& object) { return object.status().updatedreplicas(); }),
           number("Available",
                  [](const Deployment& object) { return object.status().availablereplicas(); }),
           ageColumn(),
           column<Deployment>("Containers", 1,
                              [](const Deployment& object) {
                                return containerNamesCell(object.spec().template_());
                              }),
           column<Deployment>(
               "Images", 1,
               [](const Deployment& object) { return imagesCell(object.spec().template_()); }),
           column<Deployment>(
               "Selector", 1,
               [](const Deployment& object) { return selectorCell(object.spec().selector()); })},
      .strategy = {.hasStatus = true,
                   .hasGeneration = true,
                   .applyDefaults = writes<Deployment>(applyDefaults),
                   .prepareForCreate =
                       writes<Deployment>([](Deployment& object) { object.clear_status(); }),
                   .validate = reads<Deployment>(validate),
                   .validateUpdate = compares<Deployment>(validateUpdate),
                   .validateStatusUpdate = compares<Deployment>(validateStatusUpdate),
                   .scaling = scalingOf<Deployment>()},
  };
}

}  // namespace podlab::api
