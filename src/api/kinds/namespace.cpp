#include <algorithm>

#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

constexpr const char* kNameLabel = "kubernetes.io/metadata.name";
constexpr const char* kFinalizer = "kubernetes";

void applyDefaults(corev1::Namespace& object) {
  if (!object.metadata().name().empty()) {
    (*object.mutable_metadata()->mutable_labels())[kNameLabel] = object.metadata().name();
  }
}

void prepareForCreate(corev1::Namespace& object) {
  auto& finalizers = *object.mutable_spec()->mutable_finalizers();
  if (std::ranges::find(finalizers, kFinalizer) == finalizers.end()) *finalizers.Add() = kFinalizer;
  object.clear_status();
  object.mutable_status()->set_phase("Active");
}

std::vector<Cause> validate(const corev1::Namespace& object) {
  FieldErrors errors;
  forEach(object.spec().finalizers(), FieldPath("spec.finalizers"),
          [&](const std::string& name, const FieldPath& path) {
            validateFinalizer(name, path, errors);
          });
  return errors.take();
}

}  // namespace

Kind namespaceKind() {
  const auto phase = [](const corev1::Namespace& object) { return object.status().phase(); };
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
      .columns = {nameColumn(), column<corev1::Namespace>("Status", 0, phase), ageColumn()},
      .strategy = {.hasStatus = true,
                   .faultsOfName = faultsOfDns1123Label,
                   .applyDefaults = writes<corev1::Namespace>(applyDefaults),
                   .prepareForCreate = writes<corev1::Namespace>(prepareForCreate),
                   .validate = reads<corev1::Namespace>(validate),
                   .fieldLabels = {{"status.phase", reads<corev1::Namespace>(phase)}},
                   .beginDeletion = writes<corev1::Namespace>([](corev1::Namespace& object) {
                     object.mutable_status()->set_phase("Terminating");
                   })},
  };
}

}  // namespace podlab::api
