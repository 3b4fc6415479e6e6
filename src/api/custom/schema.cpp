#include "api/custom/schema.hpp"

#include <re2/re2.h>

#include "api/json_value.hpp"

namespace podlab::api {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kPatternMemory = 4 << 20;

std::unique_ptr<Schema> partOf(bool given, const Schema::Props& props) {
  return given ? std::make_unique<Schema>(props) : nullptr;
}

std::string joinPath(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

bool isMeta(const std::string& name) {
  return name == "apiVersion" || name == "kind" || name == "metadata";
}

class Pruner {
 public:
  explicit Pruner(std::vector<FieldProblem>* problems) : problems_(problems) {}

  /// `schema` null: nothing is specified.
  void prune(Json& value, const Schema* schema, const std::string& path, bool root) {
    if (value.is_array()) {
      const Schema* items = schema != nullptr ? schema->items.get() : nullptr;
      const bool keeps = schema != nullptr && schema->preservesUnknown() && items == nullptr;
      for (std::size_t i = 0; i < value.size() && !keeps; ++i)
        prune(value[i], items, path + "[" + std::to_string(i) + "]", false);
      return;
    }
    if (!value.is_object()) return;
    const bool object = root || (schema != nullptr && schema->says->xkubernetesembeddedresource());
    for (auto it = value.begin(); it != value.end();) {
      const std::string& name = it.key();
      const Schema* member = schema != nullptr ? schema->member(name) : nullptr;
      const bool specified = member != nullptr || (schema != nullptr && schema->takesOthers() &&
                                                   !schema->properties.contains(name));
      if (object && isMeta(name)) {
        ++it;
      } else if (specified) {
        prune(*it, member, joinPath(path, name), false);
        ++it;
      } else if (schema != nullptr && schema->preservesUnknown()) {
        ++it;
      } else {
        report(joinPath(path, name));
        it = value.erase(it);
      }
    }
  }

 private:
  void report(std::string path) {
    if (problems_ == nullptr) return;
    std::string message = "unknown field \"" + path + "\"";
    problems_->push_back({std::move(path), std::move(message)});
  }

  std::vector<FieldProblem>* problems_;
};

bool isForbiddenNull(const Json& value, const Schema& schema) {
  return value.is_null() && !schema.says->nullable();
}

void pruneNulls(Json& value, const Schema& schema) {
  if (value.is_array()) {
    for (Json& item : value) {
      if (schema.items) pruneNulls(item, *schema.items);
    }
  }
  if (!value.is_object()) return;
  for (auto it = value.begin(); it != value.end();) {
    const Schema* member = schema.member(it.key());
    if (member != nullptr && isForbiddenNull(*it, *member) && !member->fallback) {
      it = value.erase(it);
      continue;
    }
    if (member != nullptr) pruneNulls(*it, *member);
    ++it;
  }
}

void fillIn(Json& value, const Schema& schema) {
  if (value.is_array() && schema.items) {
    for (Json& item : value) {
      if (isForbiddenNull(item, *schema.items) && schema.items->fallback)
        item = *schema.items->fallback;
      fillIn(item, *schema.items);
    }
  }
  if (!value.is_object()) return;
  for (const auto& [name, property] : schema.properties) {
    if (!property.fallback) continue;
    const auto found = value.find(name);
    if (found == value.end() || isForbiddenNull(*found, property)) value[name] = *property.fallback;
  }
  for (auto& [name, member] : value.items()) {
    const Schema* known = schema.member(name);
    if (known == nullptr) continue;
    if (isForbiddenNull(member, *known) && known->fallback) member = *known->fallback;
    fillIn(member, *known);
  }
}

}  // namespace

Schema::Schema(const Props& props)
    : says(&props),
      items(partOf(props.items().has_schema(), props.items().schema())),
      additional(
          partOf(props.additionalproperties().has_schema(), props.additionalproperties().schema())),
      forbidden(partOf(props.has_not_(), props.not_())) {
  for (const auto& [name, property] : props.properties()) properties.emplace(name, property);
  for (const Props& part : props.allof()) allOf.emplace_back(part);
  for (const Props& part : props.anyof()) anyOf.emplace_back(part);
  for (const Props& part : props.oneof()) oneOf.emplace_back(part);
  if (props.has_default_()) fallback = trustedJson(props.default_().raw());
  for (const auto& value : props.enum_()) allowed.push_back(trustedJson(value.raw()));
  listKeys.assign(props.xkuberneteslistmapkeys().begin(), props.xkuberneteslistmapkeys().end());
  if (!props.pattern().empty()) pattern = compilePattern(props.pattern());
}

Schema::~Schema() = default;
Schema::Schema(Schema&&) noexcept = default;

const Schema* Schema::member(const std::string& name) const {
  const auto found = properties.find(name);
  return found != properties.end() ? &found->second : additional.get();
}

std::unique_ptr<re2::RE2> compilePattern(const std::string& pattern, std::string* why) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternMemory);
  auto made = std::make_unique<re2::RE2>(pattern, options);
  if (made->ok()) return made;
  if (why != nullptr) *why = made->error();
  return nullptr;
}

void pruneUnknown(Json& value, const Schema& schema, bool root,
                  std::vector<FieldProblem>* problems) {
  Pruner(problems).prune(value, &schema, "", root);
}

void applySchemaDefaults(Json& value, const Schema& schema) {
  pruneNulls(value, schema);
  fillIn(value, schema);
}

}  // namespace podlab::api
