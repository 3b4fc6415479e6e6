#pragma once
#include <algorithm>
#include <chrono>

#include "common/time.hpp"

namespace podlab::node {

/// The delays between restarts of one container, or between tries for one image, as kubelet's: none
/// before the first restart, then 10 s, doubling up to 5 min; an instance that ran for more than 10
/// min starts afresh (client-go util/flowcontrol/backoff.go with kubelet's containerBackOffPeriod
/// and MaxContainerBackOff).
class RestartBackoff {
 public:
  static constexpr Duration kInitial = std::chrono::seconds(10);
  static constexpr Duration kMax = std::chrono::minutes(5);
  static constexpr Duration kReset = 2 * kMax;

  RestartBackoff() = default;
  explicit RestartBackoff(Duration current) : current_(current) {}

  /// The delay that the next restart is charged, from the end of the last instance.
  Duration current() const { return current_; }
  /// An instance ended after `ran`.
  void ended(Duration ran) {
    if (ran > kReset) current_ = Duration::zero();
  }
  /// A restart happens now.
  void restarted() {
    current_ = current_ == Duration::zero() ? kInitial : std::min(2 * current_, kMax);
  }
  void reset() { current_ = Duration::zero(); }

 private:
  Duration current_{};
};

}  // namespace podlab::node
