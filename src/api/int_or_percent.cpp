#include "api/int_or_percent.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

namespace podlab::api {
namespace {

bool isText(const intstr::IntOrString& value) {
  return value.type() == 1;
}

/// "25%" as 25; nullopt for what is no percentage, or too large a number.
std::optional<std::int64_t> percentOf(std::string_view text) {
  const bool wellFormed = text.size() > 1 && text.ends_with('%') &&
                          std::ranges::all_of(text.substr(0, text.size() - 1),
                                              [](char c) { return c >= '0' && c <= '9'; });
  if (!wellFormed) return std::nullopt;
  std::int32_t percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size() - 1, percent);
  if (error != std::errc()) return std::nullopt;
  return percent;
}

}  // namespace

Result<std::int32_t> scaledValue(const intstr::IntOrString& value, std::int32_t total,
                                 bool roundUp) {
  if (!isText(value)) return value.intval();
  const auto percent = percentOf(value.strval());
  if (!percent) {
    return Status(Code::kInvalid, "invalid value for IntOrString: " + quoted(value.strval()) +
                                      " is not a percentage, as \"25%\"");
  }
  // Both factors have 31 bits.
  const std::int64_t scaled = (*percent * total + (roundUp ? 99 : 0)) / 100;
  return static_cast<std::int32_t>(
      std::min<std::int64_t>(scaled, std::numeric_limits<std::int32_t>::max()));
}

std::string textOf(const intstr::IntOrString& value) {
  return isText(value) ? value.strval() : std::to_string(value.intval());
}

std::string toJsonValue(const intstr::IntOrString& value) {
  return isText(value) ? quoted(value.strval()) : std::to_string(value.intval());
}

void validateIntOrPercent(const intstr::IntOrString& value, bool atMostAll, const FieldPath& path,
                          FieldErrors& errors) {
  if (!isText(value)) {
    errors.notNegative(path, value.intval());
    return;
  }
  const auto percent = percentOf(value.strval());
  if (!percent) {
    errors.invalid(path, value.strval(),
                   "a valid percent string must be a numeric value followed by an ending '%' (e.g. "
                   "'1%',  or '93%', regex used for validation is '[0-9]+%')");
  } else if (atMostAll && *percent > 100) {
    errors.invalid(path, value.strval(), "must not be greater than 100%");
  }
}

}  // namespace podlab::api
