#include "scheduling_v1.pb.h"

#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/priority_classes.hpp"

namespace podlab::api {
namespace {

using schedulingv1::PriorityClass;

void applyDefaults(PriorityClass& object) {
  if (!object.has_preemptionpolicy()) object.set_preemptionpolicy("PreemptLowerPriority");
}

std::vector<Cause> validate(const PriorityClass& object) {
  constexpr std::string_view kPolicies[] = {"Never", "PreemptLowerPriority"};
  FieldErrors errors;
  const std::string& name = object.metadata().name();
  if (name.starts_with(kSystemPriorityPrefix) && !isSystemPriority(object)) {
    errors.forbidden(FieldPath("metadata.name"), "priority class names with '" +
                                                     std::string(kSystemPriorityPrefix) +
                                                     "' prefix are reserved for system use only");
  } else if (!name.starts_with(kSystemPriorityPrefix) && object.value() > kMaxUserPriority) {
    errors.forbidden(FieldPath("value"), "maximum allowed value of a user defined priority is " +
                                             std::to_string(kMaxUserPriority));
  }
  errors.oneOf(FieldPath("preemptionPolicy"), object.preemptionpolicy(), kPolicies);
  return errors.take();
}

std::vector<Cause> validateUpdate(const PriorityClass& now, const PriorityClass& before) {
  FieldErrors errors;
  if (now.value() != before.value())
    errors.forbidden(FieldPath("value"), "may not be changed in an update.");
  if (now.preemptionpolicy() != before.preemptionpolicy())
    errors.invalid(FieldPath("preemptionPolicy"), now.preemptionpolicy(), kImmutable);
  return errors.take();
}

}  // namespace

Kind priorityClassKind() {
  return {
      .group = "scheduling.k8s.io",
      .version = "v1",
      .kind = "PriorityClass",
      .plural = "priorityclasses",
      .singular = "priorityclass",
      .shortNames = {"pc"},
      .categories = {},
      .scope = Scope::kCluster,
      .prototype = &PriorityClass::default_instance(),
      .columns = {nameColumn(),
                  column<PriorityClass>(
                      "Value", 0,
                      [](const PriorityClass& object) { return std::to_string(object.value()); }),
                  column<PriorityClass>("Global-Default", 0,
                                        [](const PriorityClass& object) {
                                          return object.globaldefault() ? "true" : "false";
                                        }),
                  ageColumn(),
                  column<PriorityClass>(
                      "PreemptionPolicy", 0,
                      [](const PriorityClass& object) { return object.preemptionpolicy(); })},
      .strategy = {.applyDefaults = writes<PriorityClass>(applyDefaults),
                   .validate = reads<PriorityClass>(validate),
                   .validateUpdate = compares<PriorityClass>(validateUpdate)},
  };
}

}  // namespace podlab::api
