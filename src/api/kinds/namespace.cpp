#include "api/kinds/rows.hpp"

namespace podlab::api {

Kind namespaceKind() {
  return {
      .group = "",
      .version = "v1",
      .kind = "Namespace",
      .plural = "namespaces",
      .singular = "namespace",
      .shortNames = {"ns"},
      .categories = {},
      .scope = Scope::kCluster,
      .prototype = &corev1::Namespace::default_instance(),
      .columns = {nameColumn(), ageColumn()},
      .strategy = {},
  };
}

}  // namespace podlab::api
