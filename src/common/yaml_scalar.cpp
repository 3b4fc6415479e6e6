#include "common/yaml_scalar.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "common/json.hpp"

namespace podlab {
namespace {

using Type = YamlScalar::Type;

bool isOneOf(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool isDigit(char c) {
  return c >= '0' && c <= '9';
}

/// Removes digits from the front; false when there is none.
bool takeDigits(std::string_view& text) {
  const auto count =
      static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), isDigit) - text.begin());
  text.remove_prefix(count);
  return count > 0;
}

bool takeOne(std::string_view& text, std::string_view choices) {
  if (text.empty() || choices.find(text[0]) == choices.npos) return false;
  text.remove_prefix(1);
  return true;
}

/// [-+]? (0b | 0o | 0x | 0)? digits, in 64 bits with or without sign.
std::optional<std::string> integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  takeOne(text, "+-");
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    switch (text[1]) {
      case 'b':
      case 'B':
        base = 2;
        text.remove_prefix(2);
        break;
      case 'x':
      case 'X':
        base = 16;
        text.remove_prefix(2);
        break;
      case 'o':
      case 'O':
        base = 8;
        text.remove_prefix(2);
        break;
      default:
        base = 8;
        text.remove_prefix(1);
    }
  }
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (negative && size > std::uint64_t{1} << 63) return std::nullopt;
  return (negative && size > 0 ? "-" : "") + std::to_string(size);
}

/// [-+]? (.digits | digits[.digits]) ([eE] [-+]? digits)?
bool isFloat(std::string_view text) {
  takeOne(text, "+-");
  const bool whole = takeDigits(text);
  if (takeOne(text, ".")) {
    if (!takeDigits(text) && !whole) return false;
  } else if (!whole) {
    return false;
  }
  if (takeOne(text, "eE")) {
    takeOne(text, "+-");
    if (!takeDigits(text)) return false;
  }
  return text.empty();
}

YamlScalar number(std::string_view plain) {
  std::string text(plain);
  std::erase(text, '_');
  if (auto whole = integer(text)) return {Type::kNumber, *std::move(whole)};
  if (!isFloat(text)) return {};
  double value = 0;
  const char* start = text.data() + (text[0] == '+' ? 1 : 0);
  if (std::from_chars(start, text.data() + text.size(), value).ec != std::errc())
    return {Type::kNotFinite, {}};
  YamlScalar scalar{Type::kNumber, {}};
  appendJsonNumber(scalar.json,
                   value == 0 ? 0 : value);  // no "-0", which would read back as an integer
  return scalar;
}

/// [-+]? digits (: digits)+, which YAML 1.1 calls a number of base 60.
bool isSexagesimal(std::string_view text) {
  takeOne(text, "+-");
  return !text.empty() && isDigit(text[0]) && text.find(':') != text.npos &&
         text.find_first_not_of("0123456789_:.") == text.npos;
}

/// YYYY-M-D, perhaps with more.
bool looksLikeTime(std::string_view text) {
  std::string_view rest = text.substr(0, 4);
  if (!takeDigits(rest) || !rest.empty()) return false;
  text.remove_prefix(std::min<std::size_t>(4, text.size()));
  return takeOne(text, "-") && takeDigits(text) && takeOne(text, "-") && takeDigits(text);
}

}  // namespace

YamlScalar resolveYamlScalar(std::string_view plain) {
  if (plain.empty() || isOneOf(plain, {"~", "null", "Null", "NULL"})) return {Type::kNull, "null"};
  switch (plain[0]) {
    case 'y':
    case 'Y':
    case 'n':
    case 'N':
    case 't':
    case 'T':
    case 'f':
    case 'F':
    case 'o':
    case 'O':
      if (isOneOf(plain,
                  {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) {
        return {Type::kBool, "true"};
      }
      if (isOneOf(plain,
                  {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) {
        return {Type::kBool, "false"};
      }
      return {};
    case '<':
      return plain == "<<" ? YamlScalar{Type::kMerge, {}} : YamlScalar{};
    case '+':
    case '-':
    case '.':
      if (isOneOf(plain, {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf",
                          "-.INF", ".nan", ".NaN", ".NAN"})) {
        return {Type::kNotFinite, {}};
      }
      return number(plain);
    default:
      return isDigit(plain[0]) ? number(plain) : YamlScalar{};
  }
}

bool isAmbiguousYaml(std::string_view text) {
  return resolveYamlScalar(text).type != Type::kString || isSexagesimal(text) ||
         looksLikeTime(text);
}

}  // namespace podlab
