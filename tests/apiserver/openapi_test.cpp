#include "apiserver/openapi.hpp"

#include <gtest/gtest.h>

#include <set>

#include <nlohmann/json.hpp>

#include "openapi_v2.pb.h"

#include "api/kinds.hpp"
#include "api/openapi_schema.hpp"

namespace podlab::apiserver {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kPrefix = "#/components/schemas/";

Json documentOf(OpenApi& openApi, std::string_view group, std::string_view version) {
  const std::string* text = openApi.v3(group, version);
  EXPECT_NE(text, nullptr) << group << "/" << version;
  return text != nullptr ? Json::parse(*text) : Json();
}

void collectReferences(const Json& value, std::set<std::string>& names) {
  if (!value.is_structured()) return;
  if (value.is_object() && value.contains("$ref") && value["$ref"].is_string()) {
    const std::string reference = value["$ref"];
    ASSERT_TRUE(reference.starts_with(kPrefix)) << reference;
    names.insert(reference.substr(kPrefix.size()));
  }
  for (const Json& part : value) collectReferences(part, names);
}

TEST(OpenApi, DescribesEveryKindAndAllThatItRefersTo) {
  OpenApi openApi;
  const Json index = Json::parse(openApi.index())["paths"];
  for (const api::Kind& kind : api::kinds()) {
    const std::string path = kind.group.empty() ? "api/v1" : "apis/" + kind.apiVersion();
    ASSERT_TRUE(index.contains(path)) << path;
    const Json document = documentOf(openApi, kind.group, kind.version);
    const Json& schemas = document["components"]["schemas"];
    const Json& schema = schemas[api::schemaName(kind.prototype->GetDescriptor())];
    const Json type{{"group", std::string(kind.group)},
                    {"version", std::string(kind.version)},
                    {"kind", std::string(kind.kind)}};
    EXPECT_EQ(schema["x-kubernetes-group-version-kind"], Json::array({type})) << kind.kind;
    EXPECT_TRUE(schema["properties"].contains("apiVersion")) << kind.kind;
    const std::string place = kind.namespaced() ? "/namespaces/{namespace}/" : "/";
    const Json& item = document["paths"]["/" + path + place + std::string(kind.plural) + "/{name}"];
    EXPECT_EQ(item["patch"]["x-kubernetes-group-version-kind"], type);
    EXPECT_NE(item["patch"]["parameters"].dump().find("fieldValidation"), std::string::npos);

    std::set<std::string> references;
    collectReferences(document, references);
    for (const auto& name : references) EXPECT_TRUE(schemas.contains(name)) << name;
  }
}

TEST(OpenApi, HasTheFormsAndRulesOfTheFields) {
  OpenApi openApi;
  const Json document = documentOf(openApi, "", "v1");
  const Json& schemas = document["components"]["schemas"];
  const auto property = [&](const char* schema, const char* field) {
    return schemas[schema]["properties"][field];
  };
  const Json containers = property("io.k8s.api.core.v1.PodSpec", "containers");
  EXPECT_EQ(containers["type"], "array");
  EXPECT_EQ(containers["items"]["$ref"], "#/components/schemas/io.k8s.api.core.v1.Container");
  EXPECT_EQ(containers["x-kubernetes-list-type"], "map");
  EXPECT_EQ(containers["x-kubernetes-list-map-keys"], Json({"name"}));
  EXPECT_EQ(containers["x-kubernetes-patch-strategy"], "merge");
  EXPECT_EQ(containers["x-kubernetes-patch-merge-key"], "name");
  const Json ports = property("io.k8s.api.core.v1.Container", "ports");
  EXPECT_EQ(ports["x-kubernetes-list-map-keys"], Json({"containerPort", "protocol"}));
  EXPECT_EQ(ports["x-kubernetes-patch-merge-key"], "containerPort");
  EXPECT_EQ(property("io.k8s.api.core.v1.PodSpec", "volumes")["x-kubernetes-patch-strategy"],
            "merge,retainKeys");
  EXPECT_EQ(property("io.k8s.api.core.v1.PodSpec", "tolerations")["x-kubernetes-list-type"],
            "atomic");
  EXPECT_EQ(property("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
                     "finalizers")["x-kubernetes-list-type"],
            "set");
  EXPECT_EQ(schemas["io.k8s.api.core.v1.PodSpec"]["required"], Json({"containers"}));
  EXPECT_EQ(property("io.k8s.api.core.v1.PodSpec", "terminationGracePeriodSeconds"),
            Json({{"type", "integer"}, {"format", "int64"}}));
  EXPECT_EQ(property("io.k8s.api.core.v1.Secret", "data")["additionalProperties"],
            Json({{"type", "string"}, {"format", "byte"}}));
  // The members of a message that is inlined are the outer one's.
  EXPECT_TRUE(property("io.k8s.api.core.v1.Volume", "emptyDir").contains("$ref"));
  EXPECT_EQ(schemas["io.k8s.apimachinery.pkg.apis.meta.v1.Time"],
            Json({{"type", "string"}, {"format", "date-time"}}));
  EXPECT_EQ(schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["format"], "int-or-string");
  EXPECT_TRUE(document["paths"].contains("/api/v1/namespaces/{namespace}/pods/{name}/log"));
  EXPECT_EQ(document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}/status"]["patch"]
                    ["operationId"],
            "patchCoreV1NamespacedPodStatus");
  EXPECT_EQ(openApi.v3("nosuch", "v1"), nullptr);
}

TEST(OpenApi, GivesEveryOperationAnIdOfItsOwn) {
  OpenApi openApi;
  std::set<std::string> ids;
  std::set<std::string> done;
  for (const api::Kind& kind : api::kinds()) {
    if (!done.insert(kind.apiVersion()).second) continue;
    const Json document = documentOf(openApi, kind.group, kind.version);
    for (const auto& [path, item] : document["paths"].items()) {
      for (const auto& [method, operation] : item.items()) {
        if (method == "parameters") continue;
        const std::string id = operation["operationId"];
        EXPECT_TRUE(ids.insert(id).second) << id << " of " << path;
      }
    }
  }
}

TEST(OpenApi, SaysTheSameInVersionTwo) {
  OpenApi openApi;
  openapi::v2::Document document;
  ASSERT_TRUE(document.ParseFromString(openApi.v2()));
  EXPECT_EQ(document.swagger(), "2.0");
  std::map<std::string, const openapi::v2::Schema*> definitions;
  for (const auto& named : document.definitions().additional_properties())
    definitions[named.name()] = &named.value();
  for (const api::Kind& kind : api::kinds()) {
    const auto found = definitions.find(api::schemaName(kind.prototype->GetDescriptor()));
    ASSERT_NE(found, definitions.end()) << kind.kind;
    bool isKind = false;
    for (const auto& extension : found->second->vendor_extension())
      isKind = isKind || extension.name() == "x-kubernetes-group-version-kind";
    EXPECT_TRUE(isKind) << kind.kind;
  }
  const auto& quantity = *definitions.at("io.k8s.apimachinery.pkg.api.resource.Quantity");
  EXPECT_EQ(quantity.type().value(0), "string");
  bool patchesPods = false;
  for (const auto& path : document.paths().path()) {
    if (path.name() != "/api/v1/namespaces/{namespace}/pods/{name}") continue;
    for (const auto& parameter : path.value().patch().parameters()) {
      patchesPods =
          patchesPods ||
          parameter.parameter().non_body_parameter().query_parameter_sub_schema().name() ==
              "dryRun";
    }
  }
  EXPECT_TRUE(patchesPods);
  for (const auto& [name, schema] : definitions) {
    for (const auto& property : schema->properties().additional_properties()) {
      const std::string& reference = property.value()._ref();
      if (!reference.empty()) {
        EXPECT_TRUE(definitions.contains(reference.substr(std::string("#/definitions/").size())))
            << reference;
      }
    }
  }
}

}  // namespace
}  // namespace podlab::apiserver
