#include "api/quantity.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

namespace podlab::api {
namespace {

using Int128 = __int128;

constexpr Int128 kMax = ~(Int128{1} << 127);
constexpr Int128 kOne = 1'000'000'000;
constexpr Int128 kMilli = 1'000'000;

constexpr std::string_view kFormatFault =
    "quantities must match the regular expression "
    "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
constexpr std::string_view kSuffixFault = "unable to parse quantity's suffix";

struct Suffix {
  std::string_view text;
  int exponent;  ///< of 10, or of 2
};
constexpr std::array<Suffix, 10> kDecimalSuffixes{{{"n", -9},
                                                   {"u", -6},
                                                   {"m", -3},
                                                   {"", 0},
                                                   {"k", 3},
                                                   {"M", 6},
                                                   {"G", 9},
                                                   {"T", 12},
                                                   {"P", 15},
                                                   {"E", 18}}};
constexpr std::array<Suffix, 6> kBinarySuffixes{
    {{"Ki", 10}, {"Mi", 20}, {"Gi", 30}, {"Ti", 40}, {"Pi", 50}, {"Ei", 60}}};

struct Unit {
  Quantity::Format format;
  int exponent;
};

/// What a suffix means; nullopt when there is no such suffix.
std::optional<Unit> unitOf(std::string_view suffix) {
  for (const Suffix& known : kDecimalSuffixes) {
    if (known.text == suffix) return Unit{Quantity::Format::kDecimal, known.exponent};
  }
  for (const Suffix& known : kBinarySuffixes) {
    if (known.text == suffix) return Unit{Quantity::Format::kBinary, known.exponent};
  }
  if (suffix.size() < 2 || (suffix[0] != 'e' && suffix[0] != 'E')) return std::nullopt;
  suffix.remove_prefix(1);
  if (suffix.starts_with('+') && !suffix.starts_with("+-")) suffix.remove_prefix(1);
  int exponent = 0;
  const auto [end, error] = std::from_chars(suffix.data(), suffix.data() + suffix.size(), exponent);
  if (error == std::errc::result_out_of_range && end == suffix.data() + suffix.size()) {
    // Only its sign matters: the amount saturates, or rounds up to 1e-9.
    exponent = suffix[0] == '-' ? -1'000'000 : 1'000'000;
  } else if (error != std::errc() || end != suffix.data() + suffix.size()) {
    return std::nullopt;
  }
  return Unit{Quantity::Format::kExponent, exponent};
}

/// a * factor and a + b, saturating at kMax; a and b are not negative.
Int128 timesSaturating(Int128 a, Int128 factor) {
  Int128 product = 0;
  return __builtin_mul_overflow(a, factor, &product) ? kMax : product;
}
Int128 plusSaturating(Int128 a, Int128 b) {
  Int128 sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? kMax : sum;
}

/// The amount in units of 1e-9 of the decimal "WHOLE.FRACTION" times 10^exponent, rounded up.
Int128 decimalNano(std::string_view whole, std::string_view fraction, std::int64_t exponent) {
  Int128 amount = 0;
  bool rest = false;
  // The weight of each digit falls from 10^(whole.size()-1) on; below 1e-9 only "something"
  // matters.
  std::int64_t weight = static_cast<std::int64_t>(whole.size()) - 1 + exponent + 9;
  for (const std::string_view part : {whole, fraction}) {
    for (const char digit : part) {
      if (weight >= 0) {
        amount = plusSaturating(timesSaturating(amount, 10), digit - '0');
      } else {
        rest |= digit != '0';
      }
      --weight;
    }
  }
  // The digits ended above 1e-9: the missing ones are zeros.
  for (; weight >= 0 && amount != 0 && amount != kMax; --weight) {
    amount = timesSaturating(amount, 10);
  }
  return rest ? plusSaturating(amount, 1) : amount;
}

/// The same for WHOLE.FRACTION times 2^exponent, at most 2^63-1 units, as upstream caps binary
/// quantities.
Int128 binaryNano(std::string_view whole, std::string_view fraction, int exponent) {
  constexpr Int128 kCap = Int128{std::numeric_limits<std::int64_t>::max()} * kOne;
  const Int128 factor = Int128{1} << exponent;
  const Int128 wholeUnits = decimalNano(whole, "", -9);
  const Int128 amount = timesSaturating(timesSaturating(wholeUnits, factor), kOne);
  if (amount >= kCap) return kCap;

  // FRACTION * 2^exponent, digit by digit from the last: (carry + digit * factor * 1e9) / 10 each,
  // keeping what is lost.
  Int128 carry = 0;
  bool rest = false;
  for (std::size_t i = fraction.size(); i-- > 0;) {
    carry += (fraction[i] - '0') * factor * kOne;
    rest |= carry % 10 != 0;
    carry /= 10;
  }
  return std::min(kCap, amount + carry + (rest ? 1 : 0));
}

std::string decimalText(Int128 magnitude) {
  if (magnitude == 0) return "0";
  std::string digits;
  for (; magnitude != 0; magnitude /= 10) {
    digits += static_cast<char>('0' + static_cast<int>(magnitude % 10));
  }
  std::ranges::reverse(digits);
  return digits;
}

bool isDigit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

Quantity Quantity::of(std::int64_t units, Format format) {
  return {units * kOne, format};
}

Quantity Quantity::ofMilli(std::int64_t milli) {
  return {milli * kMilli, Format::kDecimal};
}

Result<Quantity> Quantity::parse(std::string_view text) {
  const Status malformed(Code::kInvalid, std::string(kFormatFault));
  std::string_view left = text;
  const bool negative = left.starts_with('-');
  if (negative || left.starts_with('+')) left.remove_prefix(1);

  const auto digits = [&left] {
    const auto end = std::ranges::find_if_not(left, isDigit);
    const std::string_view run = left.substr(0, static_cast<std::size_t>(end - left.begin()));
    left.remove_prefix(run.size());
    return run;
  };
  const std::string_view whole = digits();
  std::string_view fraction;
  if (left.starts_with('.')) {
    left.remove_prefix(1);
    fraction = digits();
  }
  if (whole.empty() && fraction.empty()) return malformed;
  if (left.find_first_not_of("eEinumkKMGTP+-0123456789") != std::string_view::npos) {
    return malformed;
  }
  const std::optional<Unit> unit = unitOf(left);
  if (!unit) return Status(Code::kInvalid, std::string(kSuffixFault));

  const Int128 magnitude = unit->format == Format::kBinary
                               ? binaryNano(whole, fraction, unit->exponent)
                               : decimalNano(whole, fraction, unit->exponent);
  return Quantity(negative ? -magnitude : magnitude, unit->format);
}

std::string Quantity::toString() const {
  if (nano_ == 0) return "0";
  const Int128 magnitude = nano_ < 0 ? -nano_ : nano_;
  const std::string sign = nano_ < 0 ? "-" : "";

  // Binary suffixes need whole units; small amounts are clearer without.
  if (format_ == Format::kBinary && magnitude >= 1024 * kOne && magnitude % kOne == 0) {
    Int128 amount = magnitude / kOne;
    std::string_view suffix;
    for (const Suffix& next : kBinarySuffixes) {
      if (amount % 1024 != 0) break;
      amount /= 1024;
      suffix = next.text;
    }
    return sign + decimalText(amount) + std::string(suffix);
  }

  Int128 amount = magnitude;
  int exponent = -9;
  const int largest = format_ == Format::kExponent ? std::numeric_limits<int>::max() : 18;
  while (amount % 1000 == 0 && exponent < largest) {
    amount /= 1000;
    exponent += 3;
  }
  const std::string number = sign + decimalText(amount);
  if (format_ == Format::kExponent) {
    return exponent == 0 ? number : number + "e" + std::to_string(exponent);
  }
  const auto suffix = std::ranges::find(kDecimalSuffixes, exponent, &Suffix::exponent);
  return number + std::string(suffix->text);
}

resourcev1::Quantity Quantity::toMessage() const {
  resourcev1::Quantity message;
  message.set_string(toString());
  return message;
}

std::int64_t Quantity::inStepsOf(Nano step) const {
  Nano steps = nano_ / step;
  const Nano rest = nano_ % step;
  if (rest != 0) steps += rest > 0 ? 1 : -1;
  using Limits = std::numeric_limits<std::int64_t>;
  return static_cast<std::int64_t>(std::clamp<Nano>(steps, Limits::min(), Limits::max()));
}

std::int64_t Quantity::value() const {
  return inStepsOf(kOne);
}
std::int64_t Quantity::milliValue() const {
  return inStepsOf(kMilli);
}

Quantity Quantity::roundedToMilli() const {
  const Nano rest = nano_ % kMilli;
  if (rest == 0) return *this;
  return *this + Quantity(rest > 0 ? kMilli - rest : -kMilli - rest, format_);
}

Quantity& Quantity::operator+=(const Quantity& other) {
  if (nano_ == 0) format_ = other.format_;
  if (__builtin_add_overflow(nano_, other.nano_, &nano_)) nano_ = other.nano_ > 0 ? kMax : -kMax;
  nano_ = std::max(nano_, -kMax);
  return *this;
}

Quantity& Quantity::operator-=(const Quantity& other) {
  return *this += Quantity(-other.nano_, other.format_);
}

}  // namespace podlab::api
