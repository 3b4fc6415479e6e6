#include "common/time.hpp"

#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>

namespace podlab {
namespace {

struct Civil {
  int year;
  unsigned month, day, hour, minute, second;
};

Civil civilOf(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const auto rest = static_cast<unsigned>((seconds - day).count());
  return {int(date.year()), unsigned(date.month()), unsigned(date.day()),
          rest / 3600,      rest / 60 % 60,         rest % 60};
}

std::string formatDateTime(WallTime time) {
  const Civil c = civilOf(time);
  std::string text = "0000-00-00T00:00:00";
  const auto put = [&text](std::size_t end, unsigned value) {
    for (; value > 0; value /= 10) text[--end] = static_cast<char>('0' + value % 10);
  };
  put(4, static_cast<unsigned>(c.year));
  put(7, c.month);
  put(10, c.day);
  put(13, c.hour);
  put(16, c.minute);
  put(19, c.second);
  return text;
}

/// Reads exactly `digits` digits at the front of `text`.
std::optional<unsigned> takeNumber(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  unsigned value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (!std::isdigit(static_cast<unsigned char>(text[i]))) return std::nullopt;
    value = value * 10 + static_cast<unsigned>(text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char expected) {
  if (text.empty() || (text[0] | 0x20) != (expected | 0x20)) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string formatTime(WallTime time) {
  return formatDateTime(time) + "Z";
}

std::string formatMicroTime(WallTime time) {
  const auto micros = std::chrono::floor<std::chrono::microseconds>(time);
  const auto fraction = (micros - std::chrono::floor<std::chrono::seconds>(micros)).count();
  char text[16];
  std::snprintf(text, sizeof text, ".%06lldZ", static_cast<long long>(fraction));
  return formatDateTime(time) + text;
}

std::optional<WallTime> parseTime(std::string_view text) {
  const auto year = takeNumber(text, 4);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = takeNumber(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = takeNumber(text, 2);
  if (!day || !take(text, 'T')) return std::nullopt;
  const auto hour = takeNumber(text, 2);
  if (!hour || !take(text, ':')) return std::nullopt;
  const auto minute = takeNumber(text, 2);
  if (!minute || !take(text, ':')) return std::nullopt;
  const auto second = takeNumber(text, 2);
  if (!second || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(*month), std::chrono::day(*day));
  // Nanoseconds since 1970 in 64 bits end in 2262.
  if (!date.ok() || *year < 1678 || *year > 2261) return std::nullopt;

  Duration fraction{};
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    std::int64_t unit = 100'000'000;
    std::size_t digits = 0;
    for (; !text.empty() && std::isdigit(static_cast<unsigned char>(text[0]));
         ++digits, unit /= 10) {
      fraction += Duration((text[0] - '0') * unit);
      text.remove_prefix(1);
    }
    if (digits == 0 || digits > 9) return std::nullopt;
  }

  std::chrono::minutes offset{};
  if (!take(text, 'Z')) {
    if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
    const int sign = text[0] == '+' ? 1 : -1;
    text.remove_prefix(1);
    const auto hours = takeNumber(text, 2);
    if (!hours || !take(text, ':')) return std::nullopt;
    const auto minutes = takeNumber(text, 2);
    if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
    offset = sign * std::chrono::minutes(*hours * 60 + *minutes);
  }
  if (!text.empty()) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second) + fraction - offset;
}

std::optional<Duration> parseDuration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  int sign = 1;
  if (text[0] == '-' || text[0] == '+') {
    sign = text[0] == '-' ? -1 : 1;
    text.remove_prefix(1);
  }
  if (text == "0") return Duration(0);
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    double value = 0;
    if (text[0] != '.' && !std::isdigit(static_cast<unsigned char>(text[0]))) return std::nullopt;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    double unit = 0;
    std::size_t length = 1;
    if (text.starts_with("ns")) {
      unit = 1, length = 2;
    } else if (text.starts_with("us")) {
      unit = 1e3, length = 2;
    } else if (text.starts_with("\xc2\xb5s")) {
      unit = 1e3, length = 3;
    } else if (text.starts_with("ms")) {
      unit = 1e6, length = 2;
    } else if (text.starts_with("s")) {
      unit = 1e9;
    } else if (text.starts_with("m")) {
      unit = 60e9;
    } else if (text.starts_with("h")) {
      unit = 3600e9;
    } else {
      return std::nullopt;
    }
    text.remove_prefix(length);
    total += value * unit;
  }
  if (total > 9.2e18) return std::nullopt;
  return Duration(sign * std::llround(total));
}

std::string formatDuration(Duration duration) {
  if (duration == Duration(0)) return "0s";
  const bool negative = duration.count() < 0;
  const auto total = negative ? 0 - static_cast<std::uint64_t>(duration.count())
                              : static_cast<std::uint64_t>(duration.count());
  const auto withFraction = [](std::uint64_t value, std::uint64_t unit, const char* suffix) {
    std::string text = std::to_string(value / unit);
    if (std::uint64_t rest = value % unit; rest != 0) {
      std::string digits = std::to_string(unit + rest).substr(1);
      digits.erase(digits.find_last_not_of('0') + 1);
      text += "." + digits;
    }
    return text + suffix;
  };
  std::string text = negative ? "-" : "";
  if (total < 1'000) return text + std::to_string(total) + "ns";
  if (total < 1'000'000) return text + withFraction(total, 1'000, "\xc2\xb5s");
  if (total < 1'000'000'000) return text + withFraction(total, 1'000'000, "ms");
  const std::uint64_t minutes = total / 60'000'000'000;
  if (minutes >= 60) text += std::to_string(minutes / 60) + "h";
  if (minutes > 0) text += std::to_string(minutes % 60) + "m";
  return text + withFraction(total % 60'000'000'000, 1'000'000'000, "s");
}

}  // namespace podlab
