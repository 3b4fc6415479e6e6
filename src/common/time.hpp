#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace podlab {

using Duration = std::chrono::nanoseconds;

/// Tag of the monotonic time line; it has no now(): that is Clock's.
struct MonotonicTimeline {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicTimeline>;
  static constexpr bool is_steady = true;
};
/// For intervals and deadlines; meaningless outside the process.
using MonoTime = MonotonicTimeline::time_point;
/// Calendar time (UTC), for what people and other machines read.
using WallTime = std::chrono::sys_time<Duration>;

/// RFC 3339 in UTC, whole seconds ("2026-01-02T03:04:05Z") or with exactly six fractional digits.
std::string formatTime(WallTime time);
std::string formatMicroTime(WallTime time);
/// Parses RFC 3339 with any offset and 0 to 9 fractional digits; nullopt when malformed or out of
/// range.
std::optional<WallTime> parseTime(std::string_view text);

/// Go's duration syntax ("1h2m3.5s", "300ms"), as kubectl's flags take it; nullopt when malformed.
std::optional<Duration> parseDuration(std::string_view text);
/// Go's Duration.String(): "1h2m3s", "1.5s", "0s".
std::string formatDuration(Duration duration);

}  // namespace podlab
