#include "api/kinds/rows.hpp"

namespace podlab::api {

Kind secretKind() {
  return {
      .group = "",
      .version = "v1",
      .kind = "Secret",
      .plural = "secrets",
      .singular = "secret",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &corev1::Secret::default_instance(),
      .columns = {nameColumn(), ageColumn()},
      .strategy = {},
  };
}

}  // namespace podlab::api
