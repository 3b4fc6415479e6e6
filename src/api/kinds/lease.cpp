#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

std::vector<Cause> validate(const coordinationv1::Lease& object) {
  FieldErrors errors;
  const FieldPath spec("spec");
  if (object.spec().has_leasedurationseconds() && object.spec().leasedurationseconds() <= 0) {
    errors.invalid(spec.child("leaseDurationSeconds"), object.spec().leasedurationseconds(),
                   "must be greater than 0");
  }
  errors.notNegative(spec.child("leaseTransitions"), object.spec().leasetransitions());
  return errors.take();
}

}  // namespace

Kind leaseKind() {
  return {
      .group = "coordination.k8s.io",
      .version = "v1",
      .kind = "Lease",
      .plural = "leases",
      .singular = "lease",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &coordinationv1::Lease::default_instance(),
      .columns = {nameColumn(),
                  column<coordinationv1::Lease>("Holder", 0,
                                                [](const coordinationv1::Lease& object) {
                                                  return object.spec().holderidentity();
                                                }),
                  ageColumn()},
      .strategy = {.validate = reads<coordinationv1::Lease>(validate), .updatesArePatient = true},
  };
}

}  // namespace podlab::api
