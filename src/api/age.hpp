#pragma once
#include <string>

#include "api/object.hpp"
#include "common/time.hpp"

namespace podlab::api {

/// A duration as kubectl's AGE column writes it: "45s", "3m20s", "5h", "2d3h", "1y30d"; "<invalid>"
/// below -1 s.
std::string formatAge(Duration age);

/// The age of `time` at `now`, "<unknown>" for a time that is not set.
std::string ageOf(const metav1::Time& time, WallTime now);
std::string ageOf(const metav1::MicroTime& time, WallTime now);

}  // namespace podlab::api
