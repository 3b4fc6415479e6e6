#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/status.hpp"
#include "common/time_zone.hpp"

namespace podlab::api {

/// When a CronJob is due: "MINUTE HOUR DAY-OF-MONTH MONTH DAY-OF-WEEK", "@hourly" and the like, or
/// "@every 1h30m". Syntax, meaning and errors are those of robfig/cron v3, which upstream uses:
/// `*`,
/// `?`, lists, ranges, steps, names; a day must be in both day fields, or in either of them when
/// neither is `*`. A time that a change of the clocks skips is skipped, one that it repeats comes
/// twice.
class CronSchedule {
 public:
  using Instant = TimeZone::Instant;

  /// kInvalid says what is wrong.
  static Result<CronSchedule> parse(std::string_view text);

  /// The first time after `after`; nullopt when there is none within five years.
  std::optional<Instant> next(Instant after, const TimeZone& zone) const;
  /// The last time that is after `after` and not after `now`.
  std::optional<Instant> latest(Instant after, Instant now, const TimeZone& zone) const;

 private:
  /// The values of a field as bits; `any` for `*`.
  struct Field {
    std::uint64_t values = 0;
    bool any = false;
    bool has(unsigned value) const { return (values >> value & 1) != 0; }
  };
  struct Bounds;

  static Result<Field> parseField(std::string_view text, const Bounds& bounds);
  static Status addRange(std::string_view text, const Bounds& bounds, Field& field);
  bool hasDay(std::chrono::sys_days day) const;

  Field minute_, hour_, dayOfMonth_, month_, dayOfWeek_;
  std::chrono::seconds every_{};  ///< above 0: "@every", the fields do not count
};

}  // namespace podlab::api
