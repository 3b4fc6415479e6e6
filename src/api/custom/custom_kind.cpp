#include "api/custom/custom_kind.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "api/age.hpp"
#include "api/custom/custom_object.hpp"
#include "api/custom/custom_type.hpp"
#include "api/custom/member_path.hpp"
#include "api/json_path.hpp"
#include "api/json_value.hpp"
#include "api/kinds/rows.hpp"
#include "common/time.hpp"

namespace podlab::api {
namespace {

using Crd = apiextensionsv1::CustomResourceDefinition;
using Version = apiextensionsv1::CustomResourceDefinitionVersion;
using Json = nlohmann::json;

constexpr std::string_view kNoValue = "<none>";

/// As much of the object as a path needs that begins with that member.
Json partFor(std::string_view member, const CustomObject& object) {
  Json part = Json::object();
  if (member == "metadata") {
    part["metadata"] = trustedJson(toJson(object.metadata()));
  } else if (member == "status") {
    part["status"] = trustedJson(object.status().raw());
  } else {
    part = contentOf(object);
    part["apiVersion"] = object.apiversion();
    part["kind"] = object.kind();
  }
  return part;
}

std::string textOf(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// registry/customresource/tableconvertor/tableconvertor.go
std::string cellText(const Json& value, const std::string& type, WallTime now) {
  if (value.is_null()) return std::string(kNoValue);
  if (type == "date") {
    const auto time = value.is_string() ? parseTime(value.get<std::string>()) : std::nullopt;
    return time ? formatAge(now - *time) : "<invalid>";
  }
  if (type == "integer") {
    if (value.is_number_float())
      return std::to_string(static_cast<std::int64_t>(std::trunc(value.get<double>())));
    return value.is_number() ? value.dump() : std::string(kNoValue);
  }
  if (type == "number") return value.is_number() ? value.dump() : std::string(kNoValue);
  if (type == "boolean") return value.is_boolean() ? value.dump() : std::string(kNoValue);
  return textOf(value);
}

Column columnOf(const apiextensionsv1::CustomResourceColumnDefinition& from, JsonPath path) {
  const std::string& text = from.jsonpath();
  std::string member = text.substr(1, text.find_first_of(".[", 1) - 1);
  const auto shared = std::make_shared<const JsonPath>(std::move(path));
  auto cell = [shared, member = std::move(member), type = from.type()](
                  const google::protobuf::Message& object, WallTime now) {
    const auto found = shared->find(partFor(member, static_cast<const CustomObject&>(object)));
    const bool any = found && !found->empty() && !found->front().empty();
    return any ? cellText(found->front().front(), type, now) : std::string(kNoValue);
  };
  return {interned(from.name()), from.priority(),         std::move(cell),
          interned(from.type()), interned(from.format()), interned(from.description())};
}

std::vector<Column> columnsOf(const Version& version) {
  std::vector<Column> columns{nameColumn()};
  for (const auto& column : version.additionalprintercolumns()) {
    auto path = JsonPath::parse("{" + column.jsonpath() + "}");
    if (path) columns.push_back(columnOf(column, std::move(*path)));
  }
  if (version.additionalprintercolumns().empty()) {
    columns.push_back(ageColumn());
    columns.back().type = "date";
  }
  return columns;
}

/// The number at a path; 0 when there is none.
std::function<std::int32_t(const google::protobuf::Message&)> countAt(const std::string& text) {
  auto path = MemberPath::parse(text);
  if (!path) return [](const google::protobuf::Message&) { return 0; };
  return [path = std::move(*path)](const google::protobuf::Message& object) {
    const Json part = partFor(path.front(), static_cast<const CustomObject&>(object));
    const Json* value = path.find(part);
    const double number = value != nullptr && value->is_number() ? value->get<double>() : 0;
    constexpr double kMost = std::numeric_limits<std::int32_t>::max();
    return static_cast<std::int32_t>(std::clamp(number, -kMost, kMost));
  };
}

std::string textAt(const MemberPath& path, const google::protobuf::Message& object) {
  const Json part = partFor(path.front(), static_cast<const CustomObject&>(object));
  const Json* value = path.find(part);
  return value == nullptr || value->is_null() ? "" : textOf(*value);
}

std::function<std::string(const google::protobuf::Message&)> labelAt(const std::string& text) {
  auto path = MemberPath::parse(text);
  if (!path) return [](const google::protobuf::Message&) { return std::string(); };
  return [path = std::move(*path)](const google::protobuf::Message& object) {
    return textAt(path, object);
  };
}

std::optional<Strategy::Scaling> scalingOf(const Version& version) {
  if (!version.subresources().has_scale()) return std::nullopt;
  const auto& scale = version.subresources().scale();
  Strategy::Scaling scaling;
  scaling.wanted = countAt(scale.specreplicaspath());
  scaling.present = countAt(scale.statusreplicaspath());
  scaling.selector = labelAt(scale.labelselectorpath());
  if (const auto path = MemberPath::parse(scale.specreplicaspath()))
    scaling.pointer = path->pointer();
  scaling.setWanted = [text = scale.specreplicaspath()](google::protobuf::Message& object,
                                                        std::int32_t count) {
    auto& custom = static_cast<CustomObject&>(object);
    const auto path = MemberPath::parse(text);
    Json content = contentOf(custom);
    if (path && path->set(content, count)) setContent(custom, std::move(content));
  };
  return scaling;
}

Json validated(const CustomObject& object) {
  Json whole = contentOf(object);
  whole["apiVersion"] = object.apiversion();
  whole["kind"] = object.kind();
  whole["metadata"] = trustedJson(toJson(object.metadata()));
  return whole;
}

std::string deprecationOf(const Crd& definition, const Version& version) {
  if (!version.deprecated()) return "";
  if (version.has_deprecationwarning()) return version.deprecationwarning();
  return definition.spec().group() + "/" + version.name() + " " + definition.spec().names().kind() +
         " is deprecated";
}

Strategy strategyOf(const Crd& definition, const Version& version,
                    const std::shared_ptr<const Schema>& schema) {
  Strategy strategy;
  strategy.hasStatus = version.subresources().has_status();
  strategy.hasGeneration = true;
  strategy.applyDefaults = writes<CustomObject>([schema](CustomObject& object) {
    Json content = contentOf(object);
    applySchemaDefaults(content, *schema);
    setContent(object, std::move(content));
  });
  if (strategy.hasStatus) {
    strategy.prepareForCreate =
        writes<CustomObject>([](CustomObject& object) { object.clear_status(); });
  }
  strategy.validate = reads<CustomObject>([schema](const CustomObject& object) {
    FieldErrors errors;
    validateBySchema(validated(object), *schema, FieldPath(), errors);
    return errors.take();
  });
  strategy.validateStatusUpdate = [validate = strategy.validate](
                                      const google::protobuf::Message& now,
                                      const google::protobuf::Message&) { return validate(now); };
  if (std::string warning = deprecationOf(definition, version); !warning.empty()) {
    strategy.warningsOf = [warning](const google::protobuf::Message&) {
      return std::vector<std::string>{warning};
    };
  }
  strategy.scaling = scalingOf(version);
  for (const auto& field : version.selectablefields()) {
    std::string_view name = field.jsonpath();
    name.remove_prefix(std::min<std::size_t>(1, name.size()));
    strategy.fieldLabels.emplace_back(interned(name), labelAt(field.jsonpath()));
  }
  return strategy;
}

std::vector<std::string_view> internedAll(
    const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::vector<std::string_view> all;
  for (const std::string& text : texts) all.push_back(interned(text));
  return all;
}

}  // namespace

std::string_view interned(std::string_view text) {
  static auto& texts = *new std::set<std::string, std::less<>>;
  const auto found = texts.find(text);
  return found != texts.end() ? *found : *texts.emplace(text).first;
}

Kind makeCustomKind(const Crd& definition, const Version& version, const Kind* resource) {
  // The schema refers to its properties: both live as one.
  struct Made {
    explicit Made(const Schema::Props& from) : props(from), schema(props) {}
    const Schema::Props props;
    const Schema schema;
  };
  const auto made = std::make_shared<Made>(version.schema().openapiv3schema());
  const std::shared_ptr<const Schema> schema(made, &made->schema);
  const auto& names = definition.status().acceptednames();
  auto custom = std::make_shared<CustomType>();
  custom->definition = definition.metadata().name();
  custom->resource = resource;
  custom->listKind = names.listkind();
  custom->schema = schema;
  return {
      .group = interned(definition.spec().group()),
      .version = interned(version.name()),
      .kind = interned(names.kind()),
      .plural = interned(names.plural()),
      .singular = interned(names.singular()),
      .shortNames = internedAll(names.shortnames()),
      .categories = internedAll(names.categories()),
      .scope = definition.spec().scope() == "Cluster" ? Scope::kCluster : Scope::kNamespaced,
      .prototype = &CustomObject::default_instance(),
      .columns = columnsOf(version),
      .strategy = strategyOf(definition, version, schema),
      .custom = std::move(custom),
  };
}

}  // namespace podlab::api
