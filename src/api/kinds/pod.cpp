#include "api/kinds/rows.hpp"

namespace podlab::api {

Kind podKind() {
  return {
      .group = "",
      .version = "v1",
      .kind = "Pod",
      .plural = "pods",
      .singular = "pod",
      .shortNames = {"po"},
      .categories = {"all"},
      .scope = Scope::kNamespaced,
      .prototype = &corev1::Pod::default_instance(),
      .columns = {nameColumn(), ageColumn()},
      .strategy = {},
  };
}

}  // namespace podlab::api
