#pragma once
#include "api/object.hpp"
#include "common/time.hpp"

namespace podlab::api {

/// Whether a time was given: upstream writes null times as empty messages.
template <typename Time>
bool isSet(const Time& time) {
  return time.has_seconds() || time.has_nanos();
}

/// Conversions between the API's times and WallTime. A Time has whole seconds, a MicroTime whole
/// microseconds; finer parts are cut off.
WallTime toWallTime(const metav1::Time& time);
WallTime toWallTime(const metav1::MicroTime& time);
metav1::Time toTime(WallTime time);
metav1::MicroTime toMicroTime(WallTime time);

}  // namespace podlab::api
