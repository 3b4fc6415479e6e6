#include "common/distribution.hpp"

#include <charconv>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>
#include <utility>
#include <vector>

#include "common/json.hpp"

namespace podlab {
namespace {

using Unit = Distribution::Unit;

constexpr const char* kForms =
    "must be a value, {uniform: [low, high]}, {exponential: mean}, "
    "{lognormal: {median: m, sigma: s}} or {pareto: {min: m, shape: a}}";

Status invalid(std::string_view json, const std::string& why) {
  return {Code::kBadRequest, "\"" + std::string(json) + "\" " + why};
}

std::optional<double> readPlain(JsonReader& reader) {
  std::string_view text;
  double value = 0;
  if (reader.type() != JsonType::kNumber || !reader.readNumber(&text)) return std::nullopt;
  const auto end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || parsed != end || value < 0) return std::nullopt;
  return value;
}

std::optional<double> readValue(JsonReader& reader, Unit unit) {
  if (unit == Unit::kNumber) return readPlain(reader);
  std::string_view text;
  if (reader.type() != JsonType::kString || !reader.readString(&text)) return std::nullopt;
  const auto duration = parseDuration(text);
  if (!duration || *duration < Duration::zero()) return std::nullopt;
  return std::chrono::duration<double>(*duration).count();
}

std::string valueForm(Unit unit) {
  return unit == Unit::kNumber ? "a number that is not negative, such as 0.5"
                               : "a duration that is not negative, such as 500ms or 2s";
}

/// {"first": VALUE, "second": NUMBER} in any order.
std::optional<std::pair<double, double>> readPair(JsonReader& reader, Unit unit,
                                                  std::string_view first, std::string_view second) {
  std::optional<double> a, b;
  std::string_view key;
  if (reader.type() != JsonType::kObject || !reader.beginObject()) return std::nullopt;
  while (reader.nextKey(&key)) {
    if (key == first && !a) {
      a = readValue(reader, unit);
      if (!a) return std::nullopt;
    } else if (key == second && !b) {
      b = readPlain(reader);
      if (!b) return std::nullopt;
    } else {
      return std::nullopt;
    }
  }
  if (!a || !b) return std::nullopt;
  return std::pair(*a, *b);
}

}  // namespace

Result<Distribution> Distribution::parse(std::string_view json, Unit unit) {
  JsonReader reader(json);
  if (reader.type() != JsonType::kObject) {
    const auto value = readValue(reader, unit);
    if (!value || !reader.finish()) return invalid(json, "must be " + valueForm(unit));
    return constant(*value);
  }
  std::string_view key;
  if (!reader.beginObject() || !reader.nextKey(&key)) return invalid(json, kForms);
  const std::string name(key);
  std::optional<Distribution> read;
  std::string form;
  if (name == "uniform") {
    form = "uniform: must be [low, high], each " + valueForm(unit) + ", low not above high";
    if (reader.type() == JsonType::kArray && reader.beginArray() && reader.nextElement()) {
      const auto low = readValue(reader, unit);
      const auto high = low && reader.nextElement() ? readValue(reader, unit) : std::nullopt;
      if (high && *low <= *high && !reader.nextElement()) read = uniform(*low, *high);
    }
  } else if (name == "exponential") {
    form = "exponential: must be its mean, " + valueForm(unit);
    if (const auto mean = readValue(reader, unit)) read = exponential(*mean);
  } else if (name == "lognormal") {
    form = "lognormal: must have median, " + valueForm(unit) +
           ", and sigma, a number that is not negative";
    if (const auto pair = readPair(reader, unit, "median", "sigma"))
      read = lognormal(pair->first, pair->second);
  } else if (name == "pareto") {
    form = "pareto: must have min, " + valueForm(unit) + ", and shape, a number above 0";
    const auto pair = readPair(reader, unit, "min", "shape");
    if (pair && pair->second > 0) read = pareto(pair->first, pair->second);
  } else {
    return invalid(json, kForms);
  }
  if (!read) return invalid(json, form);
  if (reader.nextKey(&key) || !reader.finish()) return invalid(json, kForms);
  return *read;
}

double Distribution::sample(Rng& rng) const {
  switch (kind_) {
    case Kind::kConstant:
      return a_;
    case Kind::kUniform:
      return a_ + (b_ - a_) * rng.unit();
    case Kind::kExponential:
      return -a_ * std::log1p(-rng.unit());
    case Kind::kLognormal: {
      // Box and Muller; of the pair one is used, so that a sample always takes two draws.
      const double radius = std::sqrt(-2 * std::log1p(-rng.unit()));
      const double normal = radius * std::cos(2 * std::numbers::pi * rng.unit());
      return a_ * std::exp(b_ * normal);
    }
    case Kind::kPareto:
      break;
  }
  return a_ * std::pow(1 - rng.unit(), -1 / b_);
}

Duration Distribution::sampleDuration(Rng& rng) const {
  const double seconds = sample(rng);
  const double longest = std::chrono::duration<double>(kLongest).count();
  if (!(seconds < longest)) return kLongest;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace podlab
