#include "api/kinds/rows.hpp"

namespace podlab::api {

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
      .columns = {nameColumn(), ageColumn()},
      .strategy = {},
  };
}

}  // namespace podlab::api
