#pragma once
#include <algorithm>
#include <chrono>

#include "common/time.hpp"

namespace podlab::lab {

/// How long a supervisor waits before it starts a server or agent again: twice as long each time,
/// and from the beginning after one that ran for a minute.
class RestartDelay {
 public:
  static constexpr Duration kFirst = std::chrono::milliseconds(500);
  static constexpr Duration kLongest = std::chrono::seconds(20);
  /// After a SIGKILL, which says nothing against the process: somebody sent it, or memory was
  /// short.
  static constexpr Duration kAfterKill = std::chrono::milliseconds(50);
  static constexpr Duration kStable = std::chrono::seconds(60);

  /// The wait after a process that ran for `ran`.
  Duration next(Duration ran, bool killed) {
    if (killed || ran > kStable) next_ = kFirst;
    if (killed) return kAfterKill;
    const Duration delay = next_;
    next_ = std::min(2 * next_, kLongest);
    return delay;
  }

 private:
  Duration next_ = kFirst;
};

}  // namespace podlab::lab
