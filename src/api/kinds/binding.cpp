#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

std::vector<Cause> validate(const corev1::Binding& object) {
  FieldErrors errors;
  constexpr std::string_view kKinds[] = {"Node", "<empty>"};
  const FieldPath target("target");
  if (!object.target().kind().empty() && object.target().kind() != "Node") {
    errors.notSupported(target.child("kind"), object.target().kind(), kKinds);
  }
  if (object.target().name().empty()) errors.required(target.child("name"));
  return errors.take();
}

}  // namespace

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
      .strategy = {.validate = reads<corev1::Binding>(validate)},
  };
}

}  // namespace podlab::api
