#pragma once
#include <gtest/gtest.h>

#include <string>

#include <nlohmann/json.hpp>

#include "apiextensions_v1.pb.h"
#include "custom_object.pb.h"

#include "api/codec.hpp"
#include "api/custom/custom_kinds.hpp"
#include "api/kinds.hpp"

namespace podlab::api {

using Crd = apiextensionsv1::CustomResourceDefinition;

/// The CronTab of Kubernetes' documentation, with what its pages add to it.
inline constexpr const char* kCronTab = R"({
  "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
  "metadata": {"name": "crontabs.stable.example.com"},
  "spec": {
    "group": "stable.example.com", "scope": "Namespaced",
    "names": {"plural": "crontabs", "singular": "crontab", "kind": "CronTab",
              "shortNames": ["ct"], "categories": ["all"]},
    "versions": [{
      "name": "v1", "served": true, "storage": true,
      "schema": {"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "required": ["cronSpec"], "properties": {
          "cronSpec": {"type": "string", "pattern": "^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$"},
          "image": {"type": "string", "default": "web"},
          "replicas": {"type": "integer", "minimum": 1, "maximum": 10},
          "level": {"type": "string", "enum": ["low", "high"]},
          "port": {"x-kubernetes-int-or-string": true},
          "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
          "labels": {"type": "object", "additionalProperties": {"type": "string"}},
          "steps": {"type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "required": ["name"], "properties": {
                      "name": {"type": "string"}, "run": {"type": "string"}}}},
          "tags": {"type": "array", "x-kubernetes-list-type": "set",
                   "items": {"type": "string"}},
          "note": {"type": "string", "nullable": true}}},
        "status": {"type": "object", "properties": {
          "replicas": {"type": "integer"}, "selector": {"type": "string"}}}}}},
      "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
      "selectableFields": [{"jsonPath": ".spec.level"}],
      "additionalPrinterColumns": [
        {"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"},
        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]
    }]}})";

inline Crd definitionFrom(const std::string& json) {
  Crd definition;
  const Status read = fromJson(json, definition, {.strict = true});
  EXPECT_TRUE(read.ok()) << read.toString();
  kindFor<Crd>().strategy.applyDefaults(definition);
  return definition;
}

/// As the controller establishes it.
inline void establish(Crd& definition) {
  *definition.mutable_status()->mutable_acceptednames() = definition.spec().names();
  auto& condition = *definition.mutable_status()->add_conditions();
  condition.set_type("Established");
  condition.set_status("True");
}

/// Kinds that are listed while it lives.
class ListedKinds {
 public:
  explicit ListedKinds(const std::string& json) {
    Crd definition = definitionFrom(json);
    establish(definition);
    listCustomKinds(definition, this);
  }
  ~ListedKinds() { unlistCustomKinds(this); }
  ListedKinds(const ListedKinds&) = delete;
  ListedKinds& operator=(const ListedKinds&) = delete;
};

inline CustomObject cronTab(const std::string& spec,
                            std::vector<FieldProblem>* problems = nullptr) {
  CustomObject object;
  const Status read =
      fromJson(R"({"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata":
                   {"name": "mine", "namespace": "default"}, "spec": )" +
                   spec + "}",
               object, {}, problems);
  EXPECT_TRUE(read.ok()) << read.toString();
  return object;
}

}  // namespace podlab::api
