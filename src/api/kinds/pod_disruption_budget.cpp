#include "policy_v1.pb.h"

#include "api/codec.hpp"
#include "api/int_or_percent.hpp"
#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

using policyv1::PodDisruptionBudget;

/// Upstream: pkg/apis/policy/validation.
std::vector<Cause> validate(const PodDisruptionBudget& object) {
  constexpr std::string_view kPolicies[] = {"AlwaysAllow", "IfHealthyBudget"};
  const auto& spec = object.spec();
  const FieldPath path("spec");
  FieldErrors errors;
  if (spec.has_minavailable() && spec.has_maxunavailable()) {
    errors.invalidJson(path, toJson(spec), "minAvailable and maxUnavailable cannot be both set");
  }
  if (spec.has_minavailable())
    validateIntOrPercent(spec.minavailable(), true, path.child("minAvailable"), errors);
  if (spec.has_maxunavailable())
    validateIntOrPercent(spec.maxunavailable(), true, path.child("maxUnavailable"), errors);
  if (auto selector = LabelSelector::of(spec.selector()); !selector)
    errors.invalid(path.child("selector"), "", selector.status().message());
  if (spec.has_unhealthypodevictionpolicy()) {
    errors.oneOf(path.child("unhealthyPodEvictionPolicy"), spec.unhealthypodevictionpolicy(),
                 kPolicies);
  }
  return errors.take();
}

std::vector<Cause> validateStatus(const PodDisruptionBudget& object, const PodDisruptionBudget&) {
  const FieldPath path("status");
  const auto& status = object.status();
  FieldErrors errors;
  errors.notNegative(path.child("disruptionsAllowed"), status.disruptionsallowed());
  errors.notNegative(path.child("currentHealthy"), status.currenthealthy());
  errors.notNegative(path.child("desiredHealthy"), status.desiredhealthy());
  errors.notNegative(path.child("expectedPods"), status.expectedpods());
  return errors.take();
}

std::string amountCell(bool given, const intstr::IntOrString& value) {
  if (!given) return "N/A";
  return value.type() == 1 ? value.strval() : std::to_string(value.intval());
}

}  // namespace

Kind podDisruptionBudgetKind() {
  using Budget = PodDisruptionBudget;
  return {
      .group = "policy",
      .version = "v1",
      .kind = "PodDisruptionBudget",
      .plural = "poddisruptionbudgets",
      .singular = "poddisruptionbudget",
      .shortNames = {"pdb"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &Budget::default_instance(),
      .columns = {nameColumn(),
                  column<Budget>("Min Available", 0,
                                 [](const Budget& object) {
                                   return amountCell(object.spec().has_minavailable(),
                                                     object.spec().minavailable());
                                 }),
                  column<Budget>("Max Unavailable", 0,
                                 [](const Budget& object) {
                                   return amountCell(object.spec().has_maxunavailable(),
                                                     object.spec().maxunavailable());
                                 }),
                  column<Budget>("Allowed Disruptions", 0,
                                 [](const Budget& object) {
                                   return std::to_string(object.status().disruptionsallowed());
                                 }),
                  ageColumn()},
      .strategy = {.hasStatus = true,
                   .hasGeneration = true,
                   .prepareForCreate =
                       writes<Budget>([](Budget& object) { object.clear_status(); }),
                   .validate = reads<Budget>(validate),
                   .validateStatusUpdate = compares<Budget>(validateStatus)},
  };
}

}  // namespace podlab::api
