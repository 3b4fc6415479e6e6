#include "api/age.hpp"

#include <cstdint>

#include "api/times.hpp"

namespace podlab::api {
namespace {

/// "<whole><unit>", and "<part><partUnit>" unless part is 0.
std::string join(std::int64_t whole, char unit, std::int64_t part, char partUnit) {
  std::string text = std::to_string(whole) + unit;
  if (part != 0) text += std::to_string(part) + partUnit;
  return text;
}

template <typename Time>
std::string ageOfSet(const Time& time, WallTime now) {
  return isSet(time) ? formatAge(now - toWallTime(time)) : "<unknown>";
}

}  // namespace

std::string formatAge(Duration age) {
  constexpr std::int64_t kMinute = 60, kHour = 60 * kMinute, kDay = 24 * kHour, kYear = 365 * kDay;
  const std::int64_t s = std::chrono::duration_cast<std::chrono::seconds>(age).count();
  if (s < -1) return "<invalid>";
  if (s < 0) return "0s";
  if (s < 2 * kMinute) return join(s, 's', 0, ' ');
  if (s < 10 * kMinute) return join(s / kMinute, 'm', s % kMinute, 's');
  if (s < 3 * kHour) return join(s / kMinute, 'm', 0, ' ');
  if (s < 8 * kHour) return join(s / kHour, 'h', s % kHour / kMinute, 'm');
  if (s < 2 * kDay) return join(s / kHour, 'h', 0, ' ');
  if (s < 8 * kDay) return join(s / kDay, 'd', s % kDay / kHour, 'h');
  if (s < 2 * kYear) return join(s / kDay, 'd', 0, ' ');
  if (s < 8 * kYear) return join(s / kYear, 'y', s % kYear / kDay, 'd');
  return join(s / kYear, 'y', 0, ' ');
}

std::string ageOf(const metav1::Time& time, WallTime now) {
  return ageOfSet(time, now);
}
std::string ageOf(const metav1::MicroTime& time, WallTime now) {
  return ageOfSet(time, now);
}

}  // namespace podlab::api
