#include "api/strategic_merge.hpp"

#include <algorithm>
#include <vector>

#include <nlohmann/json.hpp>

#include "field_options.pb.h"

#include "api/codec_table.hpp"
#include "common/json.hpp"

namespace podlab::api {
namespace {

using Json = nlohmann::json;
using codec::Form;
using codec::Shape;
using codec::Table;

constexpr const char* kDirective = "$patch";
constexpr const char* kRetainKeys = "$retainKeys";
constexpr std::string_view kOrderPrefix = "$setElementOrder/";
constexpr std::string_view kDeletePrefix = "$deleteFromPrimitiveList/";

/// How a field is patched: its option `patch`.
struct Rule {
  bool merge = false;              ///< a list: element by element
  bool replace = false;            ///< an object: as a whole
  std::string key;                 ///< of a merged list of objects; empty: a list of scalars
  const Table* element = nullptr;  ///< of the field's message, or of its list's
};

Rule ruleOf(const Table* table, const std::string& name) {
  Rule rule;
  const codec::Field* field = table != nullptr ? table->find(name) : nullptr;
  if (field == nullptr) return rule;
  if (field->shape != Shape::kMap) rule.element = field->message;
  const std::string& option = field->descriptor->options().GetExtension(podlab::patch);
  rule.merge = option.starts_with("merge");
  rule.replace = option == "replace";
  if (const auto key = option.find("key="); key != std::string::npos)
    rule.key = option.substr(key + 4);
  return rule;
}

Status malformed(const std::string& why) {
  return Status(Code::kBadRequest, "invalid patch: " + why);
}

Status mergeObject(Json& target, const Json& patch, const Table* table);

/// A new value out of a patch: its directives are followed, and nothing of them stays.
Status makeValue(Json& target, const Json& patch, const Table* table) {
  if (patch.is_object()) {
    target = Json::object();
    return mergeObject(target, patch, table);
  }
  if (!patch.is_array()) {
    target = patch;
    return {};
  }
  target = Json::array();
  for (const auto& element : patch) {
    if (element.is_object() && element.contains(kDirective)) continue;
    Json made;
    if (Status status = makeValue(made, element, table); !status.ok()) return status;
    target.push_back(std::move(made));
  }
  return {};
}

Json::iterator findByKey(Json& list, const std::string& key, const Json& value) {
  return std::ranges::find_if(list, [&](const Json& element) {
    const auto found = element.find(key);
    return element.is_object() && found != element.end() && *found == value;
  });
}

Status mergeKeyedList(Json& target, const Json& patch, const Rule& rule) {
  const auto isReplace = [](const Json& element) {
    return element.is_object() && element.value(kDirective, Json()) == "replace";
  };
  if (std::ranges::any_of(patch, isReplace)) return makeValue(target, patch, rule.element);
  for (const auto& element : patch) {
    if (!element.is_object() || !element.contains(rule.key)) {
      return Status(Code::kInvalid,
                    "map: " + element.dump() + " does not contain declared merge key: " + rule.key);
    }
    const auto present = findByKey(target, rule.key, element.at(rule.key));
    const bool remove = element.value(kDirective, Json()) == "delete";
    if (remove && present != target.end()) target.erase(present);
    if (remove) continue;
    Json made;
    Status merged = present != target.end() ? mergeObject(*present, element, rule.element)
                                            : makeValue(made, element, rule.element);
    if (!merged.ok()) return merged;
    if (!made.is_null()) target.push_back(std::move(made));
  }
  return {};
}

Status mergeList(Json& target, const Json& patch, const Rule& rule) {
  if (!rule.merge) return makeValue(target, patch, rule.element);
  if (!target.is_array()) target = Json::array();
  if (!rule.key.empty()) return mergeKeyedList(target, patch, rule);
  for (const auto& element : patch) {
    if (std::ranges::find(target, element) == target.end()) target.push_back(element);
  }
  return {};
}

/// First those that the order names, then the others.
void putInOrder(Json& list, const Json& order, const Rule& rule) {
  if (!list.is_array() || !order.is_array()) return;
  const auto isNamed = [&](const Json& element, const Json& entry) {
    if (rule.key.empty()) return entry == element;
    return entry.is_object() && element.is_object() && entry.contains(rule.key) &&
           element.contains(rule.key) && entry.at(rule.key) == element.at(rule.key);
  };
  auto& elements = list.get_ref<Json::array_t&>();
  auto next = elements.begin();
  for (const auto& entry : order) {
    const auto found = std::find_if(next, elements.end(),
                                    [&](const Json& element) { return isNamed(element, entry); });
    if (found == elements.end()) continue;
    std::rotate(next, found, found + 1);
    ++next;
  }
}

Status mergeField(Json& target, const std::string& name, const Json& value, const Rule& rule) {
  if (value.is_null()) {
    target.erase(name);
    return {};
  }
  if (value.is_array()) return mergeList(target[name], value, rule);
  if (!value.is_object()) {
    target[name] = value;
    return {};
  }
  Json& present = target[name];
  if (rule.replace || !present.is_object()) return makeValue(present, value, rule.element);
  if (value.value(kDirective, Json()) == "delete") {
    target.erase(name);
    return {};
  }
  return mergeObject(present, value, rule.element);
}

Status mergeObject(Json& target, const Json& patch, const Table* table) {
  if (const auto directive = patch.find(kDirective); directive != patch.end()) {
    if (*directive != "replace" && *directive != "delete" && *directive != "merge")
      return malformed("unknown $patch type: " + directive->dump());
    if (*directive != "merge") target = Json::object();
    if (*directive == "delete") return {};
  }
  if (const auto retained = patch.find(kRetainKeys); retained != patch.end()) {
    if (!retained->is_array()) return malformed("$retainKeys is a list of names");
    for (auto it = target.begin(); it != target.end();)
      it = std::find(retained->begin(), retained->end(), Json(it.key())) == retained->end()
               ? target.erase(it)
               : ++it;
  }
  for (const auto& [name, value] : patch.items()) {
    if (!name.starts_with(kDeletePrefix)) continue;
    const std::string list = name.substr(kDeletePrefix.size());
    if (!value.is_array()) return malformed(name + " is a list");
    if (!target.contains(list) || !target[list].is_array()) continue;
    for (const auto& gone : value) {
      auto& elements = target[list].get_ref<Json::array_t&>();
      std::erase(elements, gone);
    }
  }
  for (const auto& [name, value] : patch.items()) {
    if (name.starts_with('$')) continue;
    if (Status merged = mergeField(target, name, value, ruleOf(table, name)); !merged.ok())
      return merged;
  }
  for (const auto& [name, value] : patch.items()) {
    if (!name.starts_with(kOrderPrefix)) continue;
    const std::string list = name.substr(kOrderPrefix.size());
    if (target.contains(list)) putInOrder(target[list], value, ruleOf(table, list));
  }
  return {};
}

}  // namespace

Result<std::string> strategicMergePatch(std::string_view document, std::string_view patch,
                                        const google::protobuf::Descriptor* type) {
  // JsonReader limits the depth, and says where a fault is.
  JsonReader reader(patch);
  reader.skip();
  if (!reader.finish()) return reader.status().withContext("error decoding patch");
  Json value = Json::parse(document, nullptr, false);
  const Json changes = Json::parse(patch, nullptr, false);
  if (!value.is_object()) return malformed("the document is no object");
  if (!changes.is_object()) return malformed("a strategic merge patch is an object");
  if (Status merged = mergeObject(value, changes, &Table::of(type)); !merged.ok()) return merged;
  return value.dump();
}

}  // namespace podlab::api
