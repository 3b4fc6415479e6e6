#include "api/kinds/rows.hpp"

namespace podlab::api {

Kind bindingKind() {
  return {
      .group = "",
      .version = "v1",
      .kind = "Binding",
      .plural = "bindings",
      .singular = "binding",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &corev1::Binding::default_instance(),
      .columns = {},
      .strategy = {},
  };
}

}  // namespace podlab::api
