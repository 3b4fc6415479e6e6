#include <algorithm>

#include "apps_v1.pb.h"

#include "api/codec.hpp"
#include "api/int_or_percent.hpp"
#include "api/kinds/pod_template.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

using appsv1::DaemonSet;

void setNumber(intstr::IntOrString& value, std::int32_t number) {
  value.set_type(0);
  value.set_intval(number);
}

void applyDefaults(DaemonSet& set) {
  appsv1::DaemonSetSpec& spec = *set.mutable_spec();
  auto& strategy = *spec.mutable_updatestrategy();
  if (strategy.type().empty()) strategy.set_type("RollingUpdate");
  if (strategy.type() == "RollingUpdate") {
    auto& rolling = *strategy.mutable_rollingupdate();
    if (!rolling.has_maxunavailable()) setNumber(*rolling.mutable_maxunavailable(), 1);
    if (!rolling.has_maxsurge()) setNumber(*rolling.mutable_maxsurge(), 0);
  }
  if (!spec.has_revisionhistorylimit()) spec.set_revisionhistorylimit(10);
  applyPodTemplateDefaults(*spec.mutable_template_());
}

void validateRolling(const appsv1::RollingUpdateDaemonSet& rolling, const FieldPath& path,
                     FieldErrors& errors) {
  const FieldPath unavailable = path.child("maxUnavailable");
  const FieldPath surge = path.child("maxSurge");
  validateIntOrPercent(rolling.maxunavailable(), true, unavailable, errors);
  validateIntOrPercent(rolling.maxsurge(), true, surge, errors);
  const auto isZero = [](const intstr::IntOrString& value) {
    const auto scaled = scaledValue(value, 100, false);
    return scaled && *scaled == 0;
  };
  const bool hasUnavailable = !isZero(rolling.maxunavailable());
  const bool hasSurge = !isZero(rolling.maxsurge());
  if (hasUnavailable && hasSurge) {
    errors.invalidJson(surge, toJsonValue(rolling.maxsurge()),
                       "may not be set when maxUnavailable is non-zero");
  } else if (!hasUnavailable && !hasSurge) {
    errors.required(unavailable, "cannot be 0 when maxSurge is 0");
  }
}

std::vector<Cause> validate(const DaemonSet& set) {
  constexpr std::string_view kTypes[] = {"OnDelete", "RollingUpdate"};
  FieldErrors errors;
  const FieldPath path("spec");
  const appsv1::DaemonSetSpec& spec = set.spec();
  validatePodsOfSpec(spec, "DaemonSet", path, errors);
  const FieldPath strategy = path.child("updateStrategy");
  errors.oneOf(strategy.child("type"), spec.updatestrategy().type(), kTypes);
  if (spec.updatestrategy().type() == "RollingUpdate")
    validateRolling(spec.updatestrategy().rollingupdate(), strategy.child("rollingUpdate"), errors);
  errors.notNegative(path.child("revisionHistoryLimit"), spec.revisionhistorylimit());
  return errors.take();
}

std::vector<Cause> validateUpdate(const DaemonSet& now, const DaemonSet& before) {
  FieldErrors errors;
  validateSameSelector(now.spec().selector(), before.spec().selector(), errors);
  return errors.take();
}

std::string nodeSelectorCell(const DaemonSet& set) {
  const std::string text = selectorText(set.spec().template_().spec().nodeselector());
  return text.empty() ? "<none>" : text;
}

}  // namespace

Kind daemonSetKind() {
  const auto number = [](std::string_view name, auto read) {
    return column<DaemonSet>(
        name, 0, [read](const DaemonSet& set) { return std::to_string(read(set.status())); });
  };
  return {
      .group = "apps",
      .version = "v1",
      .kind = "DaemonSet",
      .plural = "daemonsets",
      .singular = "daemonset",
      .shortNames = {"ds"},
      .categories = {"all"},
      .scope = Scope::kNamespaced,
      .prototype = &DaemonSet::default_instance(),
      .columns =
          {nameColumn(),
           number("Desired", [](const auto& status) { return status.desirednumberscheduled(); }),
           number("Current", [](const auto& status) { return status.currentnumberscheduled(); }),
           number("Ready", [](const auto& status) { return status.numberready(); }),
           number("Up-to-date", [](const auto& status) { return status.updatednumberscheduled(); }),
           number("Available", [](const auto& status) { return status.numberavailable(); }),
           column<DaemonSet>("Node Selector", 0, nodeSelectorCell), ageColumn(),
           column<DaemonSet>(
               "Containers", 1,
               [](const DaemonSet& set) { return containerNamesCell(set.spec().template_()); }),
           column<DaemonSet>(
               "Images", 1,
               [](const DaemonSet& set) { return imagesCell(set.spec().template_()); }),
           column<DaemonSet>(
               "Selector", 1,
               [](const DaemonSet& set) { return selectorCell(set.spec().selector()); })},
      .strategy = {.hasStatus = true,
                   .hasGeneration = true,
                   .applyDefaults = writes<DaemonSet>(applyDefaults),
                   .prepareForCreate =
                       writes<DaemonSet>([](DaemonSet& set) { set.clear_status(); }),
                   .validate = reads<DaemonSet>(validate),
                   .validateUpdate = compares<DaemonSet>(validateUpdate)},
  };
}

}  // namespace podlab::api
