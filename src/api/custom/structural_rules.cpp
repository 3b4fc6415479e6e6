#include <algorithm>
#include <array>
#include <string_view>

#include <nlohmann/json.hpp>
#include <re2/re2.h>

#include "api/codec.hpp"
#include "api/custom/definition_validation.hpp"
#include "api/custom/schema.hpp"
#include "api/json_value.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

using Json = nlohmann::json;
using Props = apiextensionsv1::JSONSchemaProps;

constexpr const char* kStructural = "must be empty to be structural";
/// Stored messages may be nested a hundred times, and an item of a list takes two.
constexpr int kMaxDepth = 40;
constexpr std::array<std::string_view, 6> kTypes{"array",  "boolean", "integer",
                                                 "number", "object",  "string"};

FieldPath property(const FieldPath& path, std::string_view name) {
  return path.child("properties").key(name);
}

class Rules {
 public:
  explicit Rules(FieldErrors& errors) : errors_(errors) {}

  /// Where a schema stands, for what is said when its type is missing.
  enum class Place { kRoot, kProperty, kItems };

  void structure(const Props& schema, Place place, const FieldPath& path, int depth) {
    if (depth > kMaxDepth) {
      errors_.forbidden(path, "schemas may be nested " + std::to_string(kMaxDepth) + " times");
      return;
    }
    type(schema, place, path);
    value(schema, path);
    extensions(schema, path);
    if (place == Place::kRoot) rootMetadata(schema, path);
    if (schema.has_additionalproperties() && !schema.properties().empty()) {
      errors_.forbidden(path.child("additionalProperties"),
                        "additionalProperties and properties are mutual exclusive");
    }
    for (const std::string& name : sortedKeys(schema.properties()))
      structure(schema.properties().at(name), Place::kProperty, property(path, name), depth + 1);
    const auto additional = path.child("additionalProperties");
    if (schema.additionalproperties().has_schema()) {
      structure(schema.additionalproperties().schema(), Place::kProperty, additional, depth + 1);
    } else if (schema.has_additionalproperties() && !schema.additionalproperties().allows()) {
      errors_.forbidden(additional, "additionalProperties cannot be set to false");
    }
    if (schema.items().has_schema())
      structure(schema.items().schema(), Place::kItems, path.child("items"), depth + 1);
    if (schema.has_default_()) fallback(schema, path.child("default"));
    junctors(schema, schema, path, depth);
  }

 private:
  void type(const Props& schema, Place place, const FieldPath& path) {
    const FieldPath at = path.child("type");
    const std::string& type = schema.type();
    const bool free = schema.xkubernetesintorstring() || schema.xkubernetespreserveunknownfields();
    if (place == Place::kRoot && !type.empty() && type != "object") {
      errors_.invalid(at, type, "must be object at the root");
    } else if (type.empty() && place == Place::kRoot) {
      errors_.required(at, "must not be empty at the root");
    } else if (type.empty() && !free) {
      errors_.required(at, place == Place::kItems
                               ? "must not be empty for specified array items"
                               : "must not be empty for specified object fields");
    } else if (!type.empty() && std::ranges::find(kTypes, type) == kTypes.end()) {
      errors_.notSupported(at, type, kTypes);
    }
    if (type == "array" && !schema.has_items()) {
      errors_.required(path.child("items"), "must be specified");
    }
  }

  void value(const Props& schema, const FieldPath& path) {
    const auto refuse = [&](bool given, const char* field, const char* why) {
      if (given) errors_.forbidden(path.child(field), why);
    };
    refuse(!schema.id().empty(), "id", "id is not supported");
    refuse(schema.has_ref(), "$ref", "$ref is not supported");
    refuse(schema.additionalitems().has_schema() || schema.additionalitems().allows(),
           "additionalItems", "additionalItems is not supported");
    refuse(!schema.patternproperties().empty(), "patternProperties",
           "patternProperties is not supported");
    refuse(!schema.definitions().empty(), "definitions", "definitions is not supported");
    refuse(!schema.dependencies().empty(), "dependencies", "dependencies is not supported");
    refuse(schema.uniqueitems(), "uniqueItems",
           "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
    refuse(schema.items().jsonschemas_size() > 0, "items",
           "items must be a schema object and not an array");
    if (schema.has_multipleof() && schema.multipleof() <= 0) {
      errors_.invalidJson(path.child("multipleOf"), Json(schema.multipleof()).dump(),
                          "must be greater than 0");
    }
    std::string why;
    if (!schema.pattern().empty() && compilePattern(schema.pattern(), &why) == nullptr) {
      errors_.invalid(path.child("pattern"), schema.pattern(),
                      "must be a valid regular expression, but isn't: " + why);
    }
    for (const auto& [field, bound] :
         {std::pair("maxLength", schema.maxlength()), std::pair("minLength", schema.minlength()),
          std::pair("maxItems", schema.maxitems()), std::pair("minItems", schema.minitems()),
          std::pair("maxProperties", schema.maxproperties()),
          std::pair("minProperties", schema.minproperties())})
      errors_.notNegative(path.child(field), bound);
  }

  void extensions(const Props& schema, const FieldPath& path) {
    const std::string& type = schema.type();
    if (schema.has_xkubernetespreserveunknownfields() &&
        !schema.xkubernetespreserveunknownfields()) {
      errors_.invalid(path.child("x-kubernetes-preserve-unknown-fields"), false,
                      "must be true or undefined");
    }
    if (schema.xkubernetesembeddedresource()) {
      if (type != "object") {
        errors_.invalid(path.child("type"), type,
                        "must be object if x-kubernetes-embedded-resource is true");
      }
      if (schema.properties().empty() && !schema.xkubernetespreserveunknownfields()) {
        errors_.required(path.child("properties"),
                         "must not be empty if x-kubernetes-embedded-resource is true without "
                         "x-kubernetes-preserve-unknown-fields");
      }
    }
    if (schema.xkubernetesintorstring() && !type.empty()) {
      errors_.invalid(path.child("type"), type,
                      "must be empty if x-kubernetes-int-or-string is true");
    }
    if (schema.has_xkubernetesmaptype()) {
      constexpr std::string_view kMaps[] = {"atomic", "granular"};
      if (type != "object") {
        errors_.invalid(path.child("type"), type,
                        "must be object if x-kubernetes-map-type is specified");
      }
      errors_.oneOf(path.child("x-kubernetes-map-type"), schema.xkubernetesmaptype(), kMaps);
    }
    list(schema, path);
  }

  void list(const Props& schema, const FieldPath& path) {
    constexpr std::string_view kLists[] = {"atomic", "map", "set"};
    const FieldPath at = path.child("x-kubernetes-list-type");
    const std::string& kind = schema.xkuberneteslisttype();
    if (schema.has_xkuberneteslisttype()) {
      if (schema.type() != "array") {
        errors_.invalid(path.child("type"), schema.type(),
                        "must be array if x-kubernetes-list-type is specified");
      }
      errors_.oneOf(at, kind, kLists);
    }
    const auto& keys = schema.xkuberneteslistmapkeys();
    const FieldPath keysAt = path.child("x-kubernetes-list-map-keys");
    if (!keys.empty() && kind != "map") {
      errors_.invalid(at, kind, "must be map if x-kubernetes-list-map-keys is non-empty");
    }
    if (kind != "map") return;
    const Props& items = schema.items().schema();
    if (keys.empty()) {
      errors_.required(keysAt, "must not be empty if x-kubernetes-list-type is map");
    }
    if (items.type() != "object") {
      errors_.invalid(path.child("items").child("type"), items.type(),
                      "must be object if parent array's x-kubernetes-list-type is map");
    }
    for (const std::string& key : keys) {
      const auto found = items.properties().find(key);
      if (found == items.properties().end()) {
        errors_.invalid(keysAt, key, "entries must all be names of item properties");
        continue;
      }
      const bool required = std::ranges::find(items.required(), key) != items.required().end();
      if (!required && !found->second.has_default_()) {
        errors_.required(property(path.child("items"), key).child("default"),
                         "this property is in x-kubernetes-list-map-keys, so it must have a "
                         "default or be a required property");
      }
    }
  }

  void rootMetadata(const Props& schema, const FieldPath& path) {
    const auto found = schema.properties().find("metadata");
    if (found == schema.properties().end()) return;
    const FieldPath at = property(path, "metadata");
    if (found->second.type() != "object")
      errors_.invalid(at.child("type"), found->second.type(), "must be object");
    const bool only = std::ranges::all_of(found->second.properties(), [](const auto& member) {
      return member.first == "name" || member.first == "generateName";
    });
    if (!only) {
      errors_.forbidden(at,
                        "must not specify anything other than name and generateName, but metadata "
                        "is implicitly specified");
    }
  }

  void fallback(const Props& schema, const FieldPath& at) {
    const Json value = trustedJson(schema.default_().raw());
    const Schema compiled(schema);
    Json pruned = value;
    pruneUnknown(pruned, compiled, false);
    if (pruned != value) {
      errors_.invalidJson(at, value.dump(), "must not have unknown fields");
      return;
    }
    applySchemaDefaults(pruned, compiled);
    validateBySchema(pruned, compiled, at, errors_);
  }

  /// allOf, anyOf, oneOf and not say nothing of the structure, and only of fields that it has.
  void junctors(const Props& schema, const Props& structure, const FieldPath& path, int depth) {
    const auto each = [&](const auto& parts, const char* name) {
      forEach(parts, path.child(name), [&](const Props& part, const FieldPath& at) {
        junctor(part, structure, at, depth + 1);
      });
    };
    each(schema.allof(), "allOf");
    each(schema.anyof(), "anyOf");
    each(schema.oneof(), "oneOf");
    if (schema.has_not_()) junctor(schema.not_(), structure, path.child("not"), depth + 1);
  }

  void junctor(const Props& part, const Props& structure, const FieldPath& path, int depth) {
    if (depth > kMaxDepth) {
      errors_.forbidden(path, "schemas may be nested " + std::to_string(kMaxDepth) + " times");
      return;
    }
    const auto refuse = [&](bool given, const char* field) {
      if (given) errors_.forbidden(path.child(field), kStructural);
    };
    // Of a field that is an integer or a string, the alternatives name the type.
    refuse(!part.type().empty() && !structure.xkubernetesintorstring(), "type");
    refuse(!part.description().empty(), "description");
    refuse(!part.title().empty(), "title");
    refuse(part.has_default_(), "default");
    refuse(part.nullable(), "nullable");
    refuse(part.has_additionalproperties(), "additionalProperties");
    refuse(part.has_xkubernetespreserveunknownfields(), "x-kubernetes-preserve-unknown-fields");
    refuse(part.xkubernetesembeddedresource(), "x-kubernetes-embedded-resource");
    refuse(part.xkubernetesintorstring(), "x-kubernetes-int-or-string");
    refuse(part.has_xkuberneteslisttype(), "x-kubernetes-list-type");
    refuse(part.has_xkubernetesmaptype(), "x-kubernetes-map-type");
    refuse(part.xkubernetesvalidations_size() > 0, "x-kubernetes-validations");
    value(part, path);
    for (const std::string& name : sortedKeys(part.properties())) {
      const Props& inner = part.properties().at(name);
      const auto known = structure.properties().find(name);
      if (known != structure.properties().end()) {
        junctor(inner, known->second, property(path, name), depth + 1);
      } else if (structure.additionalproperties().has_schema()) {
        junctor(inner, structure.additionalproperties().schema(), property(path, name), depth + 1);
      } else if (!structure.xkubernetespreserveunknownfields()) {
        errors_.required(property(path, name),
                         "because it is defined in " + path.text() + " and not in the structure");
      }
    }
    if (part.items().has_schema()) {
      if (structure.items().has_schema()) {
        junctor(part.items().schema(), structure.items().schema(), path.child("items"), depth + 1);
      } else {
        errors_.required(path.child("items"),
                         "because it is defined in " + path.text() + " and not in the structure");
      }
    }
    junctors(part, structure, path, depth);
  }

  FieldErrors& errors_;
};

}  // namespace

void validateStructure(const Props& schema, const FieldPath& path, FieldErrors& errors) {
  Rules(errors).structure(schema, Rules::Place::kRoot, path, 0);
}

bool hasRules(const Props& schema) {
  const auto in = [](const auto& parts) { return std::ranges::any_of(parts, hasRules); };
  return schema.xkubernetesvalidations_size() > 0 || in(schema.allof()) || in(schema.anyof()) ||
         in(schema.oneof()) || (schema.items().has_schema() && hasRules(schema.items().schema())) ||
         (schema.additionalproperties().has_schema() &&
          hasRules(schema.additionalproperties().schema())) ||
         std::ranges::any_of(schema.properties(),
                             [](const auto& member) { return hasRules(member.second); });
}

}  // namespace podlab::api
