#include "autoscaling_v1.pb.h"

#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

using autoscalingv1::Scale;

std::vector<Cause> validate(const Scale& scale) {
  FieldErrors errors;
  errors.notNegative(FieldPath("spec.replicas"), scale.spec().replicas());
  return errors.take();
}

}  // namespace

Kind scaleKind() {
  return {
      .group = "autoscaling",
      .version = "v1",
      .kind = "Scale",
      .plural = "scales",
      .singular = "scale",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &Scale::default_instance(),
      .columns = {nameColumn(),
                  column<Scale>(
                      "Desired", 0,
                      [](const Scale& scale) { return std::to_string(scale.spec().replicas()); }),
                  column<Scale>(
                      "Available", 0,
                      [](const Scale& scale) { return std::to_string(scale.status().replicas()); }),
                  ageColumn()},
      .strategy = {.validate = reads<Scale>(validate)},
  };
}

}  // namespace podlab::api
