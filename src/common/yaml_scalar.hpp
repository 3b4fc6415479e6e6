#pragma once
#include <string>
#include <string_view>

namespace podlab {

/// What a YAML scalar without quotes is.
struct YamlScalar {
  enum class Type { kString, kNull, kBool, kNumber, kNotFinite, kMerge };
  Type type = Type::kString;
  std::string json;  ///< of null, a bool or a number
};

/// By go-yaml v2's rules, which are YAML 1.1's without sexagesimal numbers.
YamlScalar resolveYamlScalar(std::string_view plain);

/// Whether some YAML reader would take the string, written plain, for something else: a null, bool,
/// number, time or sexagesimal number.
bool isAmbiguousYaml(std::string_view text);

}  // namespace podlab
