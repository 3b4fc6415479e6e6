#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <re2/re2.h>

#include "api/custom/schema.hpp"

namespace podlab::api {
namespace {

using Json = nlohmann::json;
using Props = Schema::Props;

/// An object has so many faults at most: nobody reads more.
constexpr int kMaxFaults = 100;

std::string typeName(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return "object";
    case Json::value_t::array:
      return "array";
    case Json::value_t::string:
      return "string";
    case Json::value_t::boolean:
      return "boolean";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return "integer";
    default:
      return "number";
  }
}

bool isWhole(const Json& value) {
  if (value.is_number_integer()) return true;
  if (!value.is_number()) return false;
  const double number = value.get<double>();
  return std::trunc(number) == number;
}

bool hasType(const Json& value, const std::string& type) {
  if (type == "integer") return isWhole(value);
  if (type == "number") return value.is_number();
  return typeName(value) == type;
}

/// As Go prints a float64: "10", "1.5", "1e+21".
std::string numberText(double number) {
  constexpr double kExact = 1e15;
  if (std::trunc(number) == number && std::abs(number) < kExact)
    return std::to_string(static_cast<std::int64_t>(number));
  return Json(number).dump();
}

std::int64_t runesOf(const std::string& text) {
  return std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
}

class Validator {
 public:
  explicit Validator(FieldErrors& errors) : errors_(errors) {}

  bool failed() const { return faults_ > 0; }

  void validate(const Json& value, const Schema& schema, const FieldPath& path) {
    if (faults_ >= kMaxFaults) return;
    const Props& props = *schema.says;
    if (!fitsType(value, props, path)) return;
    if (!schema.allowed.empty() && !value.is_null()) validateEnum(value, schema, path);
    if (value.is_string()) validateString(value, schema, path);
    if (value.is_number()) validateNumber(value, props, path);
    if (value.is_array()) validateArray(value, schema, path);
    if (value.is_object()) validateObject(value, schema, path);
    validateParts(value, schema, path);
  }

 private:
  void fault(const FieldPath& path, const Json& value, const std::string& why) {
    ++faults_;
    value.is_string() ? errors_.invalid(path, value.get<std::string>(), inBody(path) + why)
                      : errors_.invalidJson(path, value.dump(), inBody(path) + why);
  }
  static std::string inBody(const FieldPath& path) { return path.text() + " in body "; }

  bool fitsType(const Json& value, const Props& props, const FieldPath& path) {
    if (value.is_null() && props.nullable()) return true;
    std::string wanted = props.type();
    bool fits = wanted.empty() || hasType(value, wanted);
    if (props.xkubernetesintorstring()) {
      wanted = "integer,string";
      fits = value.is_string() || isWhole(value);
    }
    if (fits) return true;
    ++faults_;
    const std::string name = typeName(value);
    errors_.add({{"FieldValueTypeInvalid", path.text(),
                  "Invalid value: \"" + name + "\": " + inBody(path) + "must be of type " + wanted +
                      ": \"" + name + "\""}});
    return false;
  }

  void validateEnum(const Json& value, const Schema& schema, const FieldPath& path) {
    if (std::ranges::find(schema.allowed, value) != schema.allowed.end()) return;
    const auto text = [](const Json& one) {
      return one.is_string() ? one.get<std::string>() : one.dump();
    };
    std::vector<std::string> texts;
    for (const Json& one : schema.allowed) texts.push_back(text(one));
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    ++faults_;
    errors_.notSupported(path, text(value), views);
  }

  void validateString(const Json& value, const Schema& schema, const FieldPath& path) {
    const Props& props = *schema.says;
    const auto& text = value.get_ref<const std::string&>();
    if (props.has_maxlength() && runesOf(text) > props.maxlength()) {
      ++faults_;
      errors_.tooLong(path, props.maxlength());
    }
    if (props.has_minlength() && runesOf(text) < props.minlength()) {
      fault(path, value, "should be at least " + std::to_string(props.minlength()) + " chars long");
    }
    if (schema.pattern && !re2::RE2::PartialMatch(text, *schema.pattern))
      fault(path, value, "should match '" + props.pattern() + "'");
    if (!props.format().empty() && !hasFormat(text, props.format()))
      fault(path, value, "must be of type " + props.format() + ": \"" + text + "\"");
  }

  void validateNumber(const Json& value, const Props& props, const FieldPath& path) {
    const auto number = value.get<double>();
    const auto limit = [&](const char* what, bool exclusive, double bound) {
      fault(path, value,
            std::string("should be ") + what + (exclusive ? " than " : " than or equal to ") +
                numberText(bound));
    };
    if (props.has_maximum() &&
        (props.exclusivemaximum() ? number >= props.maximum() : number > props.maximum()))
      limit("less", props.exclusivemaximum(), props.maximum());
    if (props.has_minimum() &&
        (props.exclusiveminimum() ? number <= props.minimum() : number < props.minimum()))
      limit("greater", props.exclusiveminimum(), props.minimum());
    if (props.has_multipleof() && props.multipleof() > 0) {
      const double times = number / props.multipleof();
      if (std::trunc(times) != times)
        fault(path, value, "should be a multiple of " + numberText(props.multipleof()));
    }
    constexpr double kMax32 = std::numeric_limits<std::int32_t>::max();
    if (props.format() == "int32" && (number > kMax32 || number < -kMax32 - 1)) {
      ++faults_;
      errors_.invalidJson(
          path, value.dump(),
          "Checked value must be of type " + props.type() + " with format int32 in " + path.text());
    }
  }

  void validateArray(const Json& value, const Schema& schema, const FieldPath& path) {
    const Props& props = *schema.says;
    const auto size = static_cast<std::int64_t>(value.size());
    if (props.has_maxitems() && size > props.maxitems()) {
      ++faults_;
      errors_.tooMany(path, size, props.maxitems());
    }
    if (props.has_minitems() && size < props.minitems())
      fault(path, value, "should have at least " + std::to_string(props.minitems()) + " items");
    for (std::size_t i = 0; schema.items && i < value.size() && faults_ < kMaxFaults; ++i)
      validate(value[i], *schema.items, path.index(i));
    const bool isSet = props.xkuberneteslisttype() == "set";
    if (!isSet && props.xkuberneteslisttype() != "map") return;
    std::set<std::string> seen;
    for (std::size_t i = 0; i < value.size() && faults_ < kMaxFaults; ++i) {
      const std::string identity = isSet ? value[i].dump() : keysOf(value[i], schema);
      if (seen.insert(identity).second) continue;
      ++faults_;
      errors_.add({{"FieldValueDuplicate", path.index(i).text(), "Duplicate value: " + identity}});
    }
  }

  static std::string keysOf(const Json& item, const Schema& list) {
    Json keys = Json::object();
    for (const std::string& key : list.says->xkuberneteslistmapkeys()) {
      if (const auto found = item.find(key); item.is_object() && found != item.end())
        keys[key] = *found;
    }
    return keys.dump();
  }

  void validateObject(const Json& value, const Schema& schema, const FieldPath& path) {
    const Props& props = *schema.says;
    const auto size = static_cast<std::int64_t>(value.size());
    if (props.has_maxproperties() && size > props.maxproperties()) {
      ++faults_;
      errors_.tooMany(path, size, props.maxproperties());
    }
    if (props.has_minproperties() && size < props.minproperties()) {
      fault(path, value,
            "should have at least " + std::to_string(props.minproperties()) + " properties");
    }
    for (const std::string& name : props.required()) {
      if (value.contains(name)) continue;
      ++faults_;
      errors_.required(path.child(name));
    }
    if (props.xkubernetesembeddedresource()) validateEmbedded(value, path);
    for (const auto& [name, member] : value.items()) {
      if (faults_ >= kMaxFaults) return;
      const auto known = schema.properties.find(name);
      if (known != schema.properties.end()) {
        validate(member, known->second, path.child(name));
      } else if (schema.additional) {
        validate(member, *schema.additional, path.child(name));
      }
    }
  }

  void validateEmbedded(const Json& value, const FieldPath& path) {
    for (const char* name : {"apiVersion", "kind"}) {
      const auto found = value.find(name);
      if (found != value.end() && found->is_string() && !found->get<std::string>().empty())
        continue;
      ++faults_;
      errors_.required(path.child(name), "must not be empty");
    }
  }

  /// What is wrong with the value by a part, apart from the rest.
  static std::vector<Cause> faultsBy(const Json& value, const Schema& part, const FieldPath& path) {
    FieldErrors errors;
    Validator(errors).validate(value, part, path);
    return errors.take();
  }

  void junctorFault(const FieldPath& path, const std::string& why) {
    ++faults_;
    errors_.invalid(path, "", "\"" + path.text() + "\" " + why);
  }

  void validateParts(const Json& value, const Schema& schema, const FieldPath& path) {
    const auto valid = [&](const std::vector<Schema>& parts) {
      return std::ranges::count_if(
          parts, [&](const Schema& part) { return faultsBy(value, part, path).empty(); });
    };
    if (!schema.anyOf.empty() && valid(schema.anyOf) == 0) {
      junctorFault(path, "must validate at least one schema (anyOf)");
      errors_.add(leastOf(value, schema.anyOf, path));
    }
    if (!schema.oneOf.empty()) {
      const auto count = valid(schema.oneOf);
      const std::string text = "must validate one and only one schema (oneOf). ";
      if (count == 0) {
        junctorFault(path, text + "Found none valid");
        errors_.add(leastOf(value, schema.oneOf, path));
      } else if (count > 1) {
        junctorFault(path, text + "Found " + std::to_string(count) + " valid alternatives");
      }
    }
    for (const Schema& part : schema.allOf) {
      auto faults = faultsBy(value, part, path);
      if (faults.empty()) continue;
      junctorFault(path, "must validate all the schemas (allOf)");
      errors_.add(std::move(faults));
    }
    if (schema.forbidden && faultsBy(value, *schema.forbidden, path).empty())
      junctorFault(path, "must not validate the schema (not)");
  }

  /// Of the alternative that the value misses least.
  static std::vector<Cause> leastOf(const Json& value, const std::vector<Schema>& parts,
                                    const FieldPath& path) {
    std::vector<Cause> least;
    for (const Schema& part : parts) {
      auto faults = faultsBy(value, part, path);
      if (least.empty() || faults.size() < least.size()) least = std::move(faults);
    }
    return least;
  }

  FieldErrors& errors_;
  int faults_ = 0;
};

}  // namespace

void validateBySchema(const Json& value, const Schema& schema, const FieldPath& path,
                      FieldErrors& errors) {
  Validator(errors).validate(value, schema, path);
}

}  // namespace podlab::api
