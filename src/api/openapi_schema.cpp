#include "api/openapi_schema.hpp"

#include <algorithm>
#include <array>
#include <deque>

#include <nlohmann/json.hpp>

#include "api/codec.hpp"
#include "api/codec_table.hpp"
#include "api/custom/custom_type.hpp"
#include "api/kinds.hpp"
#include "api/merge_rules.hpp"
#include "api/schema_descriptions.hpp"

namespace podlab::api {
namespace {

using codec::Field;
using codec::Form;
using codec::Shape;
using codec::Table;
using google::protobuf::Descriptor;
using Json = nlohmann::json;

constexpr const char* kVersionKey = "x-kubernetes-group-version-kind";

/// Fields that upstream's JSON always has and that manifests may leave out nevertheless.
constexpr std::array<std::string_view, 12> kOptional{
    "ClusterRole.rules",
    "EndpointSlice.ports",
    "HorizontalPodAutoscalerStatus.conditions",
    "HorizontalPodAutoscalerStatus.currentMetrics",
    "NetworkPolicySpec.podSelector",
    "PolicyRule.apiGroups",
    "Role.rules",
    "StatefulSetSpec.serviceName",
    "StatefulSetStatus.availableReplicas",
    "SubjectAccessReviewStatus.allowed",
    "TokenReviewStatus.authenticated",
    "TokenRequestSpec.expirationSeconds",
};

class SchemaBuilder {
 public:
  explicit SchemaBuilder(Json& schemas) : schemas_(schemas) {}

  void addObject(const Descriptor* message, const Json& type) {
    const std::string name = schemaName(message);
    if (!schemas_.contains(name)) addMessage(message);
    Json& schema = schemas_[name];
    if (!schema.contains(kVersionKey)) {
      schema[kVersionKey] = Json::array({type});
      addTypeMeta(schema);
    }
    addPending();
  }

  /// The schema of a definition, as it is.
  void addCustom(const Kind& kind, const Json& type) {
    Json schema = Json::parse(toJson(*kind.custom->schema->says), nullptr, false);
    if (!schema.is_object()) schema = {{"type", "object"}};
    schema["properties"]["metadata"] = schemaReference(refer(metav1::ObjectMeta::descriptor()));
    schema[kVersionKey] = Json::array({type});
    addTypeMeta(schema);
    schemas_[schemaName(kind)] = std::move(schema);
    addPending();
  }

  void addList(const Kind& kind, const Json& type) {
    const std::string item = schemaName(kind);
    Json listType = type;
    listType["kind"] = kind.listKind();
    Json schema{
        {"type", "object"},
        {"description", kind.listKind() + " is a list of " + std::string(kind.plural) + "."},
        {"required", Json::array({"items"})},
        {kVersionKey, Json::array({listType})}};
    schema["properties"]["items"] = {{"type", "array"},
                                     {"description", "The objects of the list."},
                                     {"items", schemaReference(item)}};
    schema["properties"]["metadata"] = schemaReference(refer(metav1::ListMeta::descriptor()));
    addTypeMeta(schema);
    schemas_[item + "List"] = std::move(schema);
    addPending();
  }

 private:
  static void addTypeMeta(Json& schema) {
    for (const char* name : {"apiVersion", "kind"}) {
      schema["properties"][name] = {{"type", "string"},
                                    {"description", std::string(describeField(name))}};
    }
  }

  void addPending() {
    while (!pending_.empty()) {
      const Descriptor* message = pending_.front();
      pending_.pop_front();
      addMessage(message);
    }
  }

  /// The name of a schema that will be there when all is done.
  std::string refer(const Descriptor* message) {
    std::string name = schemaName(message);
    if (!schemas_.contains(name) && std::ranges::find(pending_, message) == pending_.end())
      pending_.push_back(message);
    return name;
  }

  /// A form of its own in place of an object; its schema is that of the scalar.
  std::string referScalar(const Descriptor* message, Json schema) {
    std::string name = schemaName(message);
    if (!schemas_.contains(name)) schemas_[name] = std::move(schema);
    return name;
  }

  void addMessage(const Descriptor* message) {
    Json schema{{"type", "object"}};
    if (const auto text = describeMessage(schemaName(message)); !text.empty())
      schema["description"] = std::string(text);
    if (isAtomic(message)) schema["x-kubernetes-map-type"] = "atomic";
    Json required = Json::array();
    Json properties = Json::object();
    for (const Field& field : Table::of(message).fields()) {
      properties[field.name] = property(message, field);
      const std::string path = field.descriptor->containing_type()->name() + "." + field.name;
      if (field.always && std::ranges::find(kOptional, path) == kOptional.end())
        required.push_back(field.name);
    }
    if (!properties.empty()) schema["properties"] = std::move(properties);
    if (!required.empty()) schema["required"] = std::move(required);
    schemas_[schemaName(message)] = std::move(schema);
  }

  Json property(const Descriptor* owner, const Field& field) {
    Json schema = value(field);
    const MergeRule& rule = mergeRuleOf(field);
    if (field.shape == Shape::kList) schema = {{"type", "array"}, {"items", std::move(schema)}};
    if (field.shape == Shape::kMap) {
      schema = {{"type", "object"}, {"additionalProperties", std::move(schema)}};
      if (rule.kind == MergeRule::Kind::kAtomic) schema["x-kubernetes-map-type"] = "atomic";
    }
    if (field.shape == Shape::kList) {
      const bool keyed = rule.kind == MergeRule::Kind::kKeyed;
      schema["x-kubernetes-list-type"] = keyed                                ? "map"
                                         : rule.kind == MergeRule::Kind::kSet ? "set"
                                                                              : "atomic";
      if (keyed) schema["x-kubernetes-list-map-keys"] = rule.keys;
    }
    // Beside a reference nothing counts.
    const auto text = describeField(field.name);
    const bool topLevel = owner->FindFieldByName("metadata") != nullptr;
    const bool described = !text.empty() && (topLevel || owner == metav1::ObjectMeta::descriptor());
    const bool more = described || !rule.patchStrategy.empty();
    if (more && schema.contains("$ref")) schema = {{"allOf", Json::array({std::move(schema)})}};
    if (described) schema["description"] = std::string(text);
    if (!rule.patchStrategy.empty()) schema["x-kubernetes-patch-strategy"] = rule.patchStrategy;
    if (!rule.patchKey.empty()) schema["x-kubernetes-patch-merge-key"] = rule.patchKey;
    if (field.form == Form::kString && !defaultOfKey(field.name).empty() &&
        (owner->name() == "ContainerPort" || owner->name() == "ServicePort"))
      schema["default"] = std::string(defaultOfKey(field.name));
    return schema;
  }

  Json value(const Field& field) {
    const auto scalar = [](const char* type, const char* format = nullptr) {
      Json schema{{"type", type}};
      if (format != nullptr) schema["format"] = format;
      return schema;
    };
    const Descriptor* message =
        field.value->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE
            ? field.value->message_type()
            : nullptr;
    const auto form = [&](Json schema) {
      return schemaReference(referScalar(message, std::move(schema)));
    };
    switch (field.form) {
      case Form::kBool:
        return scalar("boolean");
      case Form::kInt32:
        return scalar("integer", "int32");
      case Form::kInt64:
      case Form::kUint32:
      case Form::kUint64:
        return scalar("integer", "int64");
      case Form::kDouble:
        return scalar("number", "double");
      case Form::kString:
      case Form::kEnum:
        return scalar("string");
      case Form::kBytes:
        return scalar("string", "byte");
      case Form::kTime:
      case Form::kMicroTime:
        return form(scalar("string", "date-time"));
      case Form::kDuration:
        return form(scalar("string"));
      case Form::kQuantity:
        return form({{"oneOf", Json::array({scalar("string"), scalar("number")})}});
      case Form::kIntOrString:
        return form({{"format", "int-or-string"},
                     {"oneOf", Json::array({scalar("integer"), scalar("string")})}});
      case Form::kFieldsV1:
      case Form::kRawExtension:
        return form(scalar("object"));
      case Form::kJson:
      case Form::kSchemaOr:
        return form({{"description", "Any value, or a schema, as the field has it."}});
      case Form::kBareList:
        return {{"type", "array"}, {"items", scalar("string")}};
      case Form::kMessage:
        break;
    }
    return schemaReference(refer(message));
  }

  Json& schemas_;
  std::deque<const Descriptor*> pending_;
};

}  // namespace

std::string schemaName(const Descriptor* message) {
  constexpr std::string_view kUpstream = "k8s.io.";
  const std::string& name = message->full_name();
  if (!name.starts_with(kUpstream)) return name;
  std::string made = "io.k8s." + name.substr(kUpstream.size());
  std::ranges::replace(made, '_', '-');
  return made;
}

std::string schemaName(const Kind& kind) {
  if (!kind.custom) return schemaName(kind.prototype->GetDescriptor());
  std::string name;
  for (std::string_view left = kind.group; !left.empty();) {
    const auto dot = left.rfind('.');
    const auto begin = dot == std::string_view::npos ? 0 : dot + 1;
    name += std::string(left.substr(begin)) + ".";
    left = left.substr(0, dot == std::string_view::npos ? 0 : dot);
  }
  return name + std::string(kind.version) + "." + std::string(kind.kind);
}

Json schemaReference(const std::string& name) {
  return {{"$ref", "#/components/schemas/" + name}};
}

void addSchemas(Json& schemas, const Kind& kind) {
  const Json type{{"group", std::string(kind.group)},
                  {"version", std::string(kind.version)},
                  {"kind", std::string(kind.kind)}};
  SchemaBuilder builder(schemas);
  if (kind.custom) {
    builder.addCustom(kind, type);
  } else {
    builder.addObject(kind.prototype->GetDescriptor(), type);
  }
  builder.addList(kind, type);
}

void addSchemas(Json& schemas, const Descriptor* message, const Json& groupVersionKind) {
  SchemaBuilder(schemas).addObject(message, groupVersionKind);
}

}  // namespace podlab::api
