#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "autoscaling_v2.pb.h"

#include "api/object.hpp"
#include "common/time.hpp"

/// What an autoscaler does not follow at once, or not at all (upstream:
/// podautoscaler/horizontal.go, stabilization and behaviors). Pure but for the history.
namespace podlab::controllers {

/// What was recommended and done lately, of one autoscaler.
struct ScalingHistory {
  struct Entry {
    MonoTime at;
    std::int32_t replicas = 0;  ///< recommended, or the change
  };
  std::vector<Entry> recommendations;
  std::vector<Entry> added;
  std::vector<Entry> removed;
};

/// A size, and what conditions say of how it came about.
struct LimitedSize {
  std::int32_t replicas = 0;
  bool stabilized = false;  ///< an earlier recommendation counts
  std::string stableReason;
  std::string stableMessage;
  bool limited = false;
  std::string limitReason;
  std::string limitMessage;
};

/// `wanted` as the autoscaler's window, policies and bounds let it be now; takes `wanted` down.
LimitedSize limitSize(const autoscalingv2::HorizontalPodAutoscalerSpec& spec,
                      ScalingHistory& history, std::int32_t current, std::int32_t wanted,
                      MonoTime now);
/// Takes down a change of size, for the policies.
void recordScaling(ScalingHistory& history, std::int32_t before, std::int32_t after, MonoTime now);

}  // namespace podlab::controllers
