#pragma once
#include <string>

#include "scheduler/explain.hpp"

namespace podlab::cli {

/// An explanation, and what it is of.
struct PlacementQuestion {
  std::string pod;        ///< "namespace/name"
  std::string scheduler;  ///< its schedulerName
  std::int32_t priority = 0;
  std::string node;  ///< where it is; empty: nowhere
  std::string note;  ///< what else there is to know; may be empty
};
std::string placementText(const PlacementQuestion& question,
                          const scheduler::Explanation& explanation);
std::string placementJson(const PlacementQuestion& question,
                          const scheduler::Explanation& explanation);

}  // namespace podlab::cli
