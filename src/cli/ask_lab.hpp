#pragma once
#include "lab_control.pb.h"

#include "cli/context.hpp"
#include "common/status.hpp"

namespace podlab::cli {

/// Asks the lab that `context` names; kUnavailable, with the remedy, when it does not run.
Result<lab::LabResponse> askRunningLab(const Context& context, const lab::LabRequest& request);

}  // namespace podlab::cli
