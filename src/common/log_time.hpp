#pragma once
#include <functional>

#include "common/time.hpp"

namespace podlab {

/// While it is there, log lines have the time that `now` gives: for who lives in virtual time.
class LogTime {
 public:
  explicit LogTime(std::function<WallTime()> now);
  ~LogTime();
  LogTime(const LogTime&) = delete;
  LogTime& operator=(const LogTime&) = delete;
};

}  // namespace podlab
