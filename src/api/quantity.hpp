#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "resource.pb.h"

#include "common/status.hpp"

namespace podlab {

namespace resourcev1 = ::k8s::io::apimachinery::pkg::api::resource;

namespace api {

/// An amount of a resource, as Kubernetes' resource.Quantity: exact in steps of 1e-9, magnitudes up
/// to 1.7e29 (beyond that it saturates). The text form keeps the family of suffixes of what was
/// parsed: decimal (m, k, M, ...), binary (Ki, Mi, ...) or exponent (e3).
class Quantity {
 public:
  enum class Format { kDecimal, kBinary, kExponent };

  Quantity() = default;

  /// `units` or `milli` of something, written decimal ("2", "250m") or binary ("64Mi").
  static Quantity of(std::int64_t units, Format format = Format::kDecimal);
  static Quantity ofMilli(std::int64_t milli);

  /// Parses "1", "0.5", "250m", "64Mi", "1e3", ...; digits below 1e-9 are rounded up (away from
  /// zero). kInvalid otherwise.
  static Result<Quantity> parse(std::string_view text);
  static Result<Quantity> parse(const resourcev1::Quantity& message) {
    return parse(message.string());
  }
  /// The quantity of a validated object; 0 for a malformed one.
  static Quantity read(const resourcev1::Quantity& message) { return parse(message).valueOr({}); }

  /// The canonical form: the largest suffix without a fraction.
  std::string toString() const;
  resourcev1::Quantity toMessage() const;

  /// In whole units, or in thousandths; fractions are rounded away from zero, and too large values
  /// saturate.
  std::int64_t value() const;
  std::int64_t milliValue() const;
  /// This, with what is finer than 1/1000 rounded away from zero, as Kubernetes stores resource
  /// lists.
  Quantity roundedToMilli() const;

  bool isZero() const { return nano_ == 0; }
  bool isNegative() const { return nano_ < 0; }

  /// Sums take the format of the left side, or of the right one when the left side is 0.
  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);
  friend Quantity operator+(Quantity a, const Quantity& b) { return a += b; }
  friend Quantity operator-(Quantity a, const Quantity& b) { return a -= b; }
  /// By amount; the format does not matter.
  friend bool operator==(const Quantity& a, const Quantity& b) { return a.nano_ == b.nano_; }
  friend std::strong_ordering operator<=>(const Quantity& a, const Quantity& b) {
    return a.nano_ <=> b.nano_;
  }

 private:
  using Nano = __int128;  ///< units of 1e-9
  Quantity(Nano nano, Format format) : nano_(nano), format_(format) {}
  std::int64_t inStepsOf(Nano step) const;

  Nano nano_ = 0;
  Format format_ = Format::kDecimal;
};

}  // namespace api
}  // namespace podlab
