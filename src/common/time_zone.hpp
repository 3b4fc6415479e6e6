#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.hpp"

namespace podlab {

/// A time zone of the host's tz database: which offset from UTC holds when (RFC 9636, TZif files).
/// By default UTC.
class TimeZone {
 public:
  using Instant = std::chrono::sys_seconds;
  struct Period {
    std::chrono::seconds offset{};  ///< local time less UTC
    Instant until;                  ///< the first instant of the next period
  };

  /// By name ("Europe/Berlin", "UTC"), from /usr/share/zoneinfo; kInvalid: "unknown time zone X".
  static Result<TimeZone> load(const std::string& name);
  /// From a TZif file's bytes.
  static Result<TimeZone> parse(std::string_view file);

  /// The period in which `at` lies.
  Period at(Instant at) const;

 private:
  /// A rule of the footer's POSIX string: when in a year daylight saving time begins or ends.
  struct Rule {
    enum class Kind { kJulian, kDayOfYear, kMonthWeekDay };
    Kind kind = Kind::kJulian;
    int day =
        0;  ///< of the year from 1 without, from 0 with 29 February; or of the week, 0: Sunday
    int month = 0;
    int week = 0;  ///< 5: the last
    std::chrono::seconds time{};
  };
  /// What holds after the last transition of the file: "CET-1CEST,M3.5.0,M10.5.0/3".
  struct Tail {
    std::chrono::seconds standard{};
    std::optional<std::chrono::seconds> daylight;
    Rule begin;
    Rule end;
  };
  struct Transition {
    Instant at;
    std::chrono::seconds offset{};
  };

  static std::optional<Tail> parseTail(std::string_view text);
  static bool parseRule(std::string_view& text, Rule& rule);
  static Instant instantOf(const Rule& rule, int year, std::chrono::seconds offset);
  Period inTail(Instant at) const;

  std::chrono::seconds first_{};  ///< the offset before the first transition
  std::vector<Transition> transitions_;
  Tail tail_;
};

}  // namespace podlab
