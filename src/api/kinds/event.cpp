#include "api/kinds/rows.hpp"

namespace podlab::api {

Kind eventKind() {
  return {
      .group = "",
      .version = "v1",
      .kind = "Event",
      .plural = "events",
      .singular = "event",
      .shortNames = {"ev"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &corev1::Event::default_instance(),
      .columns = {nameColumn(), ageColumn()},
      .strategy = {},
  };
}

}  // namespace podlab::api
