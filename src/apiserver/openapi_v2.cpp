#include "apiserver/openapi_v2.hpp"

#include <nlohmann/json.hpp>

#include "openapi_v2.pb.h"

namespace podlab::apiserver {
namespace {

using Json = nlohmann::json;
namespace v2 = openapi::v2;

/// Members named x-...: their values are YAML, of which JSON is a part.
template <typename Target>
void addExtensions(const Json& from, Target& to) {
  for (const auto& [name, value] : from.items()) {
    if (!name.starts_with("x-")) continue;
    auto& extension = *to.add_vendor_extension();
    extension.set_name(name);
    extension.mutable_value()->set_yaml(value.dump() + "\n");
  }
}

void convert(const Json& from, v2::Schema& to) {
  for (const auto& [name, value] : from.items()) {
    if (name == "$ref") {
      const std::string reference = value.get<std::string>();
      to.set__ref("#/definitions/" + reference.substr(reference.rfind('/') + 1));
    } else if (name == "allOf") {
      // A reference with something beside it, which v2 allows.
      convert(value.front(), to);
    } else if (name == "oneOf") {
      // v2 has no alternatives: Quantity and IntOrString are strings there.
      to.mutable_type()->add_value("string");
    } else if (name == "type") {
      to.mutable_type()->add_value(value.get<std::string>());
    } else if (name == "format") {
      to.set_format(value.get<std::string>());
    } else if (name == "description") {
      to.set_description(value.get<std::string>());
    } else if (name == "required") {
      for (const Json& field : value) to.add_required(field.get<std::string>());
    } else if (name == "items") {
      convert(value, *to.mutable_items()->add_schema());
    } else if (name == "additionalProperties") {
      convert(value, *to.mutable_additional_properties()->mutable_schema());
    } else if (name == "properties") {
      for (const auto& [property, schema] : value.items()) {
        auto& added = *to.mutable_properties()->add_additional_properties();
        added.set_name(property);
        convert(schema, *added.mutable_value());
      }
    }
  }
  addExtensions(from, to);
}

void convert(const Json& from, v2::Operation& to) {
  to.set_operation_id(from["operationId"].get<std::string>());
  to.add_produces("application/json");
  if (const auto body = from.find("requestBody"); body != from.end()) {
    for (const auto& [media, content] : (*body)["content"].items()) to.add_consumes(media);
  }
  for (const Json& parameter : from["parameters"]) {
    auto& added = *to.add_parameters()
                       ->mutable_parameter()
                       ->mutable_non_body_parameter()
                       ->mutable_query_parameter_sub_schema();
    added.set_in(parameter["in"].get<std::string>());
    added.set_name(parameter["name"].get<std::string>());
    added.set_type(parameter["schema"]["type"].get<std::string>());
  }
  addExtensions(from, to);
}

}  // namespace

void addPathsV2(const Json& paths, v2::Document& document) {
  for (const auto& [path, item] : paths.items()) {
    auto& added = *document.mutable_paths()->add_path();
    added.set_name(path);
    v2::PathItem& to = *added.mutable_value();
    for (const auto& [method, operation] : item.items()) {
      if (method == "get") convert(operation, *to.mutable_get());
      if (method == "put") convert(operation, *to.mutable_put());
      if (method == "post") convert(operation, *to.mutable_post());
      if (method == "delete") convert(operation, *to.mutable_delete_());
      if (method == "patch") convert(operation, *to.mutable_patch());
    }
  }
}

void simplifyForV2(Json& schema) {
  if (!schema.is_object()) return;
  const bool anything = schema.value("nullable", false) ||
                        schema.value("x-kubernetes-preserve-unknown-fields", false) ||
                        schema.value("x-kubernetes-int-or-string", false);
  for (const char* name : {"allOf", "anyOf", "oneOf", "not", "default", "nullable"})
    schema.erase(name);
  if (anything) {
    for (const char* name : {"type", "items", "properties", "additionalProperties", "required"})
      schema.erase(name);
  }
  for (const char* name : {"items", "additionalProperties"}) {
    if (const auto part = schema.find(name); part != schema.end()) simplifyForV2(*part);
  }
  if (const auto all = schema.find("properties"); all != schema.end()) {
    for (auto& [name, property] : all->items()) simplifyForV2(property);
  }
}

void addDefinitionV2(const std::string& name, const Json& schema, v2::Document& document) {
  auto& added = *document.mutable_definitions()->add_additional_properties();
  added.set_name(name);
  convert(schema, *added.mutable_value());
}

}  // namespace podlab::apiserver
