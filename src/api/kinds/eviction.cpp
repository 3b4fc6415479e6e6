#include "policy_v1.pb.h"

#include "api/kinds/rows.hpp"

namespace podlab::api {

Kind evictionKind() {
  return {
      .group = "policy",
      .version = "v1",
      .kind = "Eviction",
      .plural = "evictions",
      .singular = "eviction",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &policyv1::Eviction::default_instance(),
      .columns = {},
      .strategy = {},
      .formerVersions = {"v1beta1"},
  };
}

}  // namespace podlab::api
