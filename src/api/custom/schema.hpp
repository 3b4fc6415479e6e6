#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apiextensions_v1.pb.h"

#include "api/codec.hpp"
#include "api/field_errors.hpp"

namespace re2 {
class RE2;
}

namespace podlab::api {

/// A structural schema of a CustomResourceDefinition, ready to be applied to objects: what its JSON
/// texts and patterns mean is known. It refers to the properties from which it was made.
struct Schema {
  using Props = apiextensionsv1::JSONSchemaProps;
  using Json = nlohmann::json;

  /// Parts that are malformed are left out: definitions have been validated.
  explicit Schema(const Props& props);
  ~Schema();
  Schema(Schema&&) noexcept;

  const Props* says;
  std::map<std::string, Schema, std::less<>> properties;
  std::unique_ptr<Schema> items;
  std::unique_ptr<Schema> additional;  ///< of additionalProperties
  std::unique_ptr<Schema> forbidden;   ///< `not`
  std::vector<Schema> allOf;
  std::vector<Schema> anyOf;
  std::vector<Schema> oneOf;
  std::optional<Json> fallback;  ///< `default`
  std::vector<Json> allowed;     ///< `enum`
  std::unique_ptr<re2::RE2> pattern;
  std::vector<std::string> listKeys;  ///< x-kubernetes-list-map-keys

  /// Of a member of an object: its own, or that of additional ones; nullptr when there is none.
  const Schema* member(const std::string& name) const;
  bool preservesUnknown() const { return says->xkubernetespreserveunknownfields(); }
  bool takesOthers() const { return says->has_additionalproperties(); }
};

/// A pattern as Go's regexp reads it; nullptr, and why, when it is none or too large. Its time is
/// linear in the text, whatever the pattern.
std::unique_ptr<re2::RE2> compilePattern(const std::string& pattern, std::string* why = nullptr);

/// Removes the members that the schema does not specify (upstream:
/// schema/pruning/algorithm.go). `root`: of a whole object, whose apiVersion, kind and metadata
/// stay. `problems` (may be null) receives the unknown fields.
void pruneUnknown(nlohmann::json& value, const Schema& schema, bool root,
                  std::vector<FieldProblem>* problems = nullptr);

/// Fills in defaults, and removes nulls where null is no value (schema/defaulting/algorithm.go).
void applySchemaDefaults(nlohmann::json& value, const Schema& schema);

/// What is wrong with a value, in the wording of upstream's validation by kube-openapi; rules in
/// CEL are not evaluated. `path` is that of the value.
void validateBySchema(const nlohmann::json& value, const Schema& schema, const FieldPath& path,
                      FieldErrors& errors);

/// Whether the text has a format that schemas may name ("date-time", "ipv4"); unknown formats have
/// all texts.
bool hasFormat(const std::string& text, const std::string& format);

}  // namespace podlab::api
