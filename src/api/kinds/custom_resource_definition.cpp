#include <algorithm>
#include <cctype>

#include "apiextensions_v1.pb.h"

#include "api/conditions.hpp"
#include "api/custom/custom_kinds.hpp"
#include "api/custom/definition_validation.hpp"
#include "api/kinds/rows.hpp"
#include "api/times.hpp"
#include "common/time.hpp"

namespace podlab::api {
namespace {

using Crd = apiextensionsv1::CustomResourceDefinition;

/// Upstream: apis/apiextensions/v1/defaults.go.
void applyDefaults(Crd& definition) {
  auto& spec = *definition.mutable_spec();
  auto& names = *spec.mutable_names();
  if (names.singular().empty()) {
    std::string singular = names.kind();
    for (char& c : singular) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    names.set_singular(std::move(singular));
  }
  if (names.listkind().empty() && !names.kind().empty()) names.set_listkind(names.kind() + "List");
  if (!spec.has_conversion()) spec.mutable_conversion()->set_strategy("None");
  for (auto& version : *spec.mutable_versions()) {
    for (auto& column : *version.mutable_additionalprintercolumns()) {
      if (column.type().empty()) column.set_type("string");
    }
  }
}

/// The version in which objects are stored is one in which some may be.
void addStoredVersion(Crd& definition) {
  auto& stored = *definition.mutable_status()->mutable_storedversions();
  for (const auto& version : definition.spec().versions()) {
    const bool known = std::ranges::find(stored, version.name()) != stored.end();
    if (version.storage() && !known) *stored.Add() = version.name();
  }
}

void prepareForCreate(Crd& definition) {
  definition.clear_status();
  addStoredVersion(definition);
}

void beginDeletion(Crd& definition) {
  const ConditionState state{"Terminating", "True", "InstanceDeletionPending",
                             "CustomResourceDefinition marked for deletion; CustomResource "
                             "deletion will begin soon"};
  setCondition(*definition.mutable_status(), state,
               toWallTime(definition.metadata().deletiontimestamp()));
}

std::vector<std::string> warningsOf(const Crd& definition) {
  std::vector<std::string> warnings;
  for (int i = 0; i < definition.spec().versions_size(); ++i) {
    if (!hasRules(definition.spec().versions(i).schema().openapiv3schema())) continue;
    warnings.push_back("spec.versions[" + std::to_string(i) +
                       "].schema.openAPIV3Schema: x-kubernetes-validations: rules in CEL are kept "
                       "and shown, and not evaluated");
  }
  return warnings;
}

}  // namespace

Kind customResourceDefinitionKind() {
  return {
      .group = "apiextensions.k8s.io",
      .version = "v1",
      .kind = "CustomResourceDefinition",
      .plural = "customresourcedefinitions",
      .singular = "customresourcedefinition",
      .shortNames = {"crd", "crds"},
      .categories = {"api-extensions"},
      .scope = Scope::kCluster,
      .prototype = &Crd::default_instance(),
      .columns = {nameColumn(), column<Crd>("Created At", 0,
                                            [](const Crd& definition) {
                                              const auto& metadata = definition.metadata();
                                              return formatTime(
                                                  toWallTime(metadata.creationtimestamp()));
                                            })},
      .strategy = {.hasStatus = true,
                   .hasGeneration = true,
                   .applyDefaults = writes<Crd>(applyDefaults),
                   .prepareForCreate = writes<Crd>(prepareForCreate),
                   .prepareForUpdate =
                       [](google::protobuf::Message& now, const google::protobuf::Message&) {
                         addStoredVersion(static_cast<Crd&>(now));
                       },
                   .validate = reads<Crd>(validateDefinition),
                   .validateUpdate = compares<Crd>(validateDefinitionUpdate),
                   .validateStatusUpdate = compares<Crd>(validateDefinitionStatus),
                   .warningsOf = reads<Crd>(warningsOf),
                   .cleanUpFinalizer = kCleanUpFinalizer,
                   .beginDeletion = writes<Crd>(beginDeletion)},
  };
}

}  // namespace podlab::api
