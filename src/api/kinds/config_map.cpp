#include "api/kinds/rows.hpp"

namespace podlab::api {

Kind configMapKind() {
  return {
      .group = "",
      .version = "v1",
      .kind = "ConfigMap",
      .plural = "configmaps",
      .singular = "configmap",
      .shortNames = {"cm"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &corev1::ConfigMap::default_instance(),
      .columns = {nameColumn(), ageColumn()},
      .strategy = {},
  };
}

}  // namespace podlab::api
