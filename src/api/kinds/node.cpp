#include "api/kinds/rows.hpp"

namespace podlab::api {

Kind nodeKind() {
  return {
      .group = "",
      .version = "v1",
      .kind = "Node",
      .plural = "nodes",
      .singular = "node",
      .shortNames = {"no"},
      .categories = {},
      .scope = Scope::kCluster,
      .prototype = &corev1::Node::default_instance(),
      .columns = {nameColumn(), ageColumn()},
      .strategy = {},
  };
}

}  // namespace podlab::api
