#include "api/typed_value.hpp"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "api/custom/custom_type.hpp"
#include "api/kinds.hpp"
#include "api/object.hpp"

namespace podlab::api {
namespace {

using Json = nlohmann::json;
using Kind = ValueType::Kind;
using codec::Field;
using codec::Form;
using codec::Shape;

std::string memberElement(const std::string& name) {
  return "f:" + name;
}

/// The path element of a list's element; "" when the element has none of the list's keys.
std::string elementOf(const Json& item, const ValueType& type) {
  if (type.kind() == Kind::kSet) return "v:" + item.dump();
  if (!item.is_object()) return "";
  Json keys = Json::object();
  bool given = false;
  for (const std::string& key : type.keys()) {
    if (const auto found = item.find(key); found != item.end() && !found->is_null()) {
      keys[key] = *found;
      given = true;
    } else if (const std::string fallback = type.defaultOf(key); !fallback.empty()) {
      keys[key] = Json::parse(fallback, nullptr, false);
    }
  }
  return given ? "k:" + keys.dump() : "";
}

std::vector<std::string> elementsOf(const Json& list, const ValueType& type) {
  std::vector<std::string> elements;
  elements.reserve(list.size());
  for (const Json& item : list) elements.push_back(elementOf(item, type));
  return elements;
}

bool isObjectType(const ValueType& type) {
  return type.kind() == Kind::kStruct || type.kind() == Kind::kMap;
}
bool isListType(const ValueType& type) {
  return type.kind() == Kind::kSet || type.kind() == Kind::kKeyed;
}
/// Whether the value can be taken apart as its type says.
bool fits(const Json& value, const ValueType& type) {
  return (isObjectType(type) && value.is_object()) || (isListType(type) && value.is_array());
}

ValueType typeOfMember(const ValueType& type, const std::string& name) {
  return type.member(name).value_or(ValueType());
}

/// All fields of a value that came or went as a whole. As upstream's, objects and lists that are
/// there only when they hold something count themselves.
FieldSet wholeOf(const Json& value, const ValueType& type) {
  FieldSet set;
  if (!fits(value, type)) {
    set.member = true;
    return set;
  }
  if (isListType(type)) {
    for (const Json& item : value) {
      FieldSet child = type.kind() == Kind::kSet ? FieldSet() : wholeOf(item, type.element());
      child.member = true;
      set.put(elementOf(item, type), std::move(child));
    }
  } else {
    for (const auto& [name, member] : value.items()) {
      if (!member.is_null())
        set.put(memberElement(name), wholeOf(member, typeOfMember(type, name)));
    }
  }
  const bool counts = type.kind() != Kind::kStruct && !type.isAlways();
  set.member = counts || set.children.empty();
  return set;
}

void compareInto(const Json& before, const Json& after, const ValueType& type, Comparison& out);

/// Compares what is at the same path element on both sides; either may be null.
void compareAt(const std::string& element, const Json& before, const Json& after,
               const ValueType& type, bool isItem, Comparison& out) {
  Comparison inner;
  if (before.is_null() && after.is_null()) return;
  if (before.is_null()) {
    inner.added = wholeOf(after, type);
    inner.added.member = inner.added.member || isItem;
  } else if (after.is_null()) {
    inner.removed = wholeOf(before, type);
    inner.removed.member = inner.removed.member || isItem;
  } else {
    compareInto(before, after, type, inner);
  }
  out.added.put(element, std::move(inner.added));
  out.removed.put(element, std::move(inner.removed));
  out.modified.put(element, std::move(inner.modified));
}

void compareInto(const Json& before, const Json& after, const ValueType& type, Comparison& out) {
  if (before == after) return;
  if (!fits(before, type) || !fits(after, type)) {
    out.modified.member = true;
    return;
  }
  static const Json kNothing;
  if (isObjectType(type)) {
    const auto at = [](const Json& object, const std::string& name) -> const Json& {
      const auto found = object.find(name);
      return found == object.end() ? kNothing : *found;
    };
    for (const auto& [name, value] : before.items()) {
      compareAt(memberElement(name), value, at(after, name), typeOfMember(type, name), false, out);
    }
    for (const auto& [name, value] : after.items()) {
      if (before.contains(name)) continue;
      compareAt(memberElement(name), kNothing, value, typeOfMember(type, name), false, out);
    }
    return;
  }
  std::map<std::string, std::pair<const Json*, const Json*>> items;
  for (const Json& item : before) items.emplace(elementOf(item, type), std::pair(&item, &kNothing));
  for (const Json& item : after)
    items.emplace(elementOf(item, type), std::pair(&kNothing, &kNothing)).first->second.second =
        &item;
  for (const auto& [element, pair] : items)
    compareAt(element, *pair.first, *pair.second, type.element(), true, out);
}

Json mergeLists(const Json& live, const Json& config, const ValueType& type) {
  const auto left = elementsOf(live, type);
  const auto right = elementsOf(config, type);
  const std::set<std::string> inRight(right.begin(), right.end());
  std::map<std::string, const Json*> lefts;
  for (std::size_t i = 0; i < left.size(); ++i) lefts.emplace(left[i], &live[i]);
  std::set<std::string> merged;
  Json out = Json::array();
  const auto takeRight = [&](std::size_t i) {
    merged.insert(right[i]);
    const auto known = lefts.find(right[i]);
    out.push_back(known == lefts.end() ? config[i]
                                       : merge(*known->second, config[i], type.element()));
  };
  const auto isShared = [&](std::size_t i) { return lefts.contains(right[i]); };
  std::size_t l = 0;
  std::size_t r = 0;
  std::size_t shared = 0;
  while (l < left.size() || r < right.size()) {
    if (l < left.size() && !inRight.contains(left[l])) {
      out.push_back(live[l++]);
      continue;
    }
    // The next of `config` that is in both decides on the order.
    shared = std::max(shared, r);
    while (shared < right.size() && !isShared(shared)) ++shared;
    const bool isNext = l < left.size() && shared < right.size() && left[l] == right[shared];
    if (l < left.size() && !isNext) {
      ++l;
      continue;
    }
    if (isNext && shared == r) ++l;
    takeRight(r++);
  }
  return out;
}

std::string faultAt(const std::string& path, const Json& value, const ValueType& type) {
  if (!fits(value, type)) return "";
  if (isObjectType(type)) {
    for (const auto& [name, member] : value.items()) {
      std::string fault = faultAt(path + "." + name, member, typeOfMember(type, name));
      if (!fault.empty()) return fault;
    }
    return "";
  }
  std::set<std::string> seen;
  for (const Json& item : value) {
    const std::string element = elementOf(item, type);
    if (element.empty()) {
      return path + ": element " + std::to_string(seen.size()) +
             ": associative list with keys has an element that omits key field \"" +
             type.keys().front() + "\"";
    }
    if (!seen.insert(element).second)
      return path + ": duplicate entries for key " + element.substr(2);
    if (type.kind() != Kind::kKeyed) continue;
    std::string fault = faultAt(path + "[" + element.substr(2) + "]", item, type.element());
    if (!fault.empty()) return fault;
  }
  return "";
}

}  // namespace

ValueType ValueType::of(const google::protobuf::Descriptor* message) {
  ValueType type;
  type.kind_ = Kind::kStruct;
  type.table_ = &codec::Table::of(message);
  return type;
}

ValueType ValueType::of(const Field& field) {
  ValueType type;
  type.field_ = &field;
  switch (mergeRuleOf(field).kind) {
    case MergeRule::Kind::kAtomic:
      type.kind_ = Kind::kAtomic;
      break;
    case MergeRule::Kind::kGranular:
      type.kind_ = field.shape == Shape::kMap ? Kind::kMap : Kind::kStruct;
      type.table_ = field.message;
      break;
    case MergeRule::Kind::kSet:
      type.kind_ = Kind::kSet;
      break;
    case MergeRule::Kind::kKeyed:
      type.kind_ = Kind::kKeyed;
      break;
  }
  return type;
}

ValueType ValueType::of(const podlab::api::Kind& kind) {
  if (!kind.custom) return of(kind.prototype->GetDescriptor());
  ValueType type;
  type.kind_ = Kind::kStruct;
  type.schema_ = kind.custom->schema.get();
  type.isRoot_ = true;
  return type;
}

ValueType ValueType::of(const Schema& schema) {
  ValueType type;
  type.schema_ = &schema;
  const auto& says = *schema.says;
  if (says.type() == "array") {
    if (says.xkuberneteslisttype() == "set") type.kind_ = Kind::kSet;
    if (says.xkuberneteslisttype() == "map" && schema.items) type.kind_ = Kind::kKeyed;
    return type;
  }
  if (says.xkubernetesmaptype() == "atomic" || (says.type() != "object" && !says.type().empty()))
    return type;
  if (schema.additional) {
    type.kind_ = Kind::kMap;
  } else if (schema.preservesUnknown() && schema.properties.empty()) {
    return open();
  } else if (says.type() == "object") {
    type.kind_ = Kind::kStruct;
  }
  return type;
}

ValueType ValueType::open() {
  ValueType type;
  type.kind_ = Kind::kMap;
  return type;
}

const std::vector<std::string>& ValueType::keys() const {
  return schema_ != nullptr ? schema_->listKeys : mergeRuleOf(*field_).keys;
}

std::string ValueType::defaultOf(const std::string& key) const {
  if (schema_ != nullptr) {
    const auto found = schema_->items->properties.find(key);
    const bool has = found != schema_->items->properties.end() && found->second.fallback;
    return has ? found->second.fallback->dump() : "";
  }
  const std::string_view fallback = defaultOfKey(key);
  return fallback.empty() ? "" : "\"" + std::string(fallback) + "\"";
}

std::optional<ValueType> ValueType::member(std::string_view name) const {
  if (isRoot_ && name == "metadata") return of(metav1::ObjectMeta::descriptor());
  if (kind_ == Kind::kStruct && schema_ != nullptr) {
    const auto found = schema_->properties.find(name);
    if (found != schema_->properties.end()) return of(found->second);
    return schema_->preservesUnknown() ? std::optional(open()) : std::nullopt;
  }
  if (kind_ == Kind::kMap) return element();
  const Field* field = kind_ == Kind::kStruct ? table_->find(name) : nullptr;
  return field != nullptr ? std::optional(of(*field)) : std::nullopt;
}

ValueType ValueType::element() const {
  ValueType type;
  if (schema_ != nullptr && kind_ == Kind::kMap) return of(*schema_->additional);
  if (schema_ != nullptr) return kind_ == Kind::kKeyed ? of(*schema_->items) : type;
  if (field_ == nullptr) return open();
  if (kind_ == Kind::kSet || field_->form != Form::kMessage ||
      isAtomic(field_->value->message_type()))
    return type;
  type.kind_ = Kind::kStruct;
  type.table_ = field_->message;
  return type;
}

FieldSet fieldsOf(const Json& value, const ValueType& type) {
  FieldSet set;
  if (!fits(value, type)) {
    set.member = type.kind() == ValueType::Kind::kAtomic;
    return set;
  }
  if (isListType(type)) {
    for (const Json& item : value) {
      FieldSet child =
          type.kind() == ValueType::Kind::kSet ? FieldSet() : fieldsOf(item, type.element());
      child.member = true;
      set.put(elementOf(item, type), std::move(child));
    }
    return set;
  }
  for (const auto& [name, member] : value.items()) {
    FieldSet child = fieldsOf(member, typeOfMember(type, name));
    const bool empty = member.is_null() || (member.is_object() && member.empty());
    if (empty || type.kind() == ValueType::Kind::kMap) child.member = true;
    set.put(memberElement(name), std::move(child));
  }
  return set;
}

Comparison compare(const Json& before, const Json& after, const ValueType& type) {
  Comparison out;
  compareInto(before, after, type, out);
  return out;
}

Json merge(const Json& live, const Json& config, const ValueType& type) {
  if (!fits(live, type) || !fits(config, type)) return config;
  if (isListType(type)) return mergeLists(live, config, type);
  Json out = live;
  for (const auto& [name, value] : config.items()) {
    const auto known = live.find(name);
    out[name] = known == live.end() ? value : merge(*known, value, typeOfMember(type, name));
  }
  return out;
}

void removeFields(Json& value, const FieldSet& fields, const ValueType& type) {
  if (!fits(value, type)) return;
  if (isListType(type)) {
    Json kept = Json::array();
    for (Json& item : value) {
      const auto found = fields.children.find(elementOf(item, type));
      if (found != fields.children.end() && found->second.member) continue;
      if (found != fields.children.end() && type.kind() == ValueType::Kind::kKeyed)
        removeFields(item, found->second, type.element());
      kept.push_back(std::move(item));
    }
    value = std::move(kept);
    return;
  }
  for (const auto& [element, child] : fields.children) {
    const std::string name = element.substr(2);
    const auto found = value.find(name);
    if (!element.starts_with("f:") || found == value.end()) continue;
    const bool was = !found->empty();
    if (!child.member) removeFields(*found, child, typeOfMember(type, name));
    if (child.member || (was && found->is_structured() && found->empty())) value.erase(name);
  }
}

void addNamedFields(FieldSet& set, const ValueType& type) {
  for (auto& [element, child] : set.children) {
    if (isListType(type)) {
      if (type.kind() == ValueType::Kind::kKeyed) addNamedFields(child, type.element());
      continue;
    }
    const auto member = type.member(std::string_view(element).substr(2));
    if (!member) continue;
    addNamedFields(child, *member);
    if (type.kind() == ValueType::Kind::kStruct) child.member = true;
  }
}

std::string faultOfKeys(const Json& value, const ValueType& type) {
  return faultAt("", value, type);
}

}  // namespace podlab::api
