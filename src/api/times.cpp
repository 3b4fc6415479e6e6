#include "api/times.hpp"

namespace podlab::api {
namespace {

using std::chrono::floor;

template <typename Time>
WallTime wallTimeOf(const Time& time) {
  return WallTime(std::chrono::seconds(time.seconds()) + Duration(time.nanos()));
}

}  // namespace

WallTime toWallTime(const metav1::Time& time) {
  return wallTimeOf(time);
}
WallTime toWallTime(const metav1::MicroTime& time) {
  return wallTimeOf(time);
}

metav1::Time toTime(WallTime time) {
  metav1::Time made;
  made.set_seconds(floor<std::chrono::seconds>(time).time_since_epoch().count());
  return made;
}

metav1::MicroTime toMicroTime(WallTime time) {
  const auto seconds = floor<std::chrono::seconds>(time);
  const Duration rest = floor<std::chrono::microseconds>(time) - seconds;
  metav1::MicroTime made;
  made.set_seconds(seconds.time_since_epoch().count());
  made.set_nanos(static_cast<std::int32_t>(rest.count()));
  return made;
}

}  // namespace podlab::api
