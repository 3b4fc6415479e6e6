#include <algorithm>

#include "apps_v1.pb.h"

#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

using appsv1::ControllerRevision;

std::vector<Cause> validate(const ControllerRevision& revision) {
  FieldErrors errors;
  errors.notNegative(FieldPath("revision"), revision.revision());
  if (revision.data().raw().empty()) errors.required(FieldPath("data"), "data is mandatory");
  return errors.take();
}

std::vector<Cause> validateUpdate(const ControllerRevision& now, const ControllerRevision& before) {
  FieldErrors errors;
  if (now.data().raw() != before.data().raw())
    errors.invalidJson(FieldPath("data"), now.data().raw(), kImmutable);
  return errors.take();
}

/// "daemonset.apps/NAME".
std::string controllerCell(const ControllerRevision& revision) {
  for (const auto& owner : revision.metadata().ownerreferences()) {
    if (!owner.controller()) continue;
    std::string kind = owner.kind();
    std::ranges::transform(kind, kind.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::size_t slash = owner.apiversion().find('/');
    if (slash != std::string::npos) kind += "." + owner.apiversion().substr(0, slash);
    return kind + "/" + owner.name();
  }
  return "<none>";
}

}  // namespace

Kind controllerRevisionKind() {
  return {
      .group = "apps",
      .version = "v1",
      .kind = "ControllerRevision",
      .plural = "controllerrevisions",
      .singular = "controllerrevision",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &ControllerRevision::default_instance(),
      .columns = {nameColumn(), column<ControllerRevision>("Controller", 0, controllerCell),
                  column<ControllerRevision>("Revision", 0,
                                             [](const ControllerRevision& revision) {
                                               return std::to_string(revision.revision());
                                             }),
                  ageColumn()},
      .strategy = {.validate = reads<ControllerRevision>(validate),
                   .validateUpdate = compares<ControllerRevision>(validateUpdate)},
  };
}

}  // namespace podlab::api
