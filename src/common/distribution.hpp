#pragma once
#include <string>
#include <string_view>

#include "common/rng.hpp"
#include "common/status.hpp"
#include "common/time.hpp"

namespace podlab {

/// A distribution of numbers that are not negative, or of durations, which are numbers of seconds.
/// Its samplers are our own: the same Rng gives the same numbers whatever the C++ library.
class Distribution {
 public:
  /// What the numbers in a file are: "250ms" or 0.25.
  enum class Unit { kNumber, kDuration };

  Distribution() = default;  ///< always 0
  static Distribution constant(double value) { return {Kind::kConstant, value, 0}; }
  static Distribution uniform(double low, double high) { return {Kind::kUniform, low, high}; }
  static Distribution exponential(double mean) { return {Kind::kExponential, mean, 0}; }
  /// `sigma` is the standard deviation of the logarithm.
  static Distribution lognormal(double median, double sigma) {
    return {Kind::kLognormal, median, sigma};
  }
  /// No value is below `least`; the chance of more than x is (least/x)^shape.
  static Distribution pareto(double least, double shape) { return {Kind::kPareto, least, shape}; }

  /// Reads one JSON value, as it comes from a YAML file: a plain value, which is constant,
  /// {"uniform": [low, high]}, {"exponential": mean}, {"lognormal": {"median": m, "sigma": s}} or
  /// {"pareto": {"min": m, "shape": a}}. kBadRequest says what is wrong and what would be right.
  static Result<Distribution> parse(std::string_view json, Unit unit);

  double sample(Rng& rng) const;
  /// The sample is in seconds; at most kLongest, so that deadlines can be counted.
  Duration sampleDuration(Rng& rng) const;
  static constexpr Duration kLongest = std::chrono::hours(24 * 365 * 10);

  bool operator==(const Distribution&) const = default;

 private:
  enum class Kind { kConstant, kUniform, kExponential, kLognormal, kPareto };
  Distribution(Kind kind, double a, double b) : kind_(kind), a_(a), b_(b) {}

  Kind kind_ = Kind::kConstant;
  double a_ = 0;
  double b_ = 0;
};

}  // namespace podlab
