#pragma once
#include <optional>

#include "cli/reach_cells.hpp"
#include "cli/reach_expectation.hpp"
#include "cli/reach_faults.hpp"
#include "cli/session.hpp"

namespace podlab::cli {

/// What to measure, how, and what to expect.
struct ReachPlan {
  ReachSelection selection;
  net::ReachOptions options;
  bool wholePathMtu = false;                    ///< instead of options.packetSize
  std::optional<ReachExpectation> expectation;  ///< before what NetworkPolicies say
};

/// Chooses the ends from the objects as they are, has the agents send, and judges.
Co<Result<ReachMeasurement>> measureReach(Session& session, ReachPlan plan);

}  // namespace podlab::cli
