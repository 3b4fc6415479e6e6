#pragma once
#include "lab_control.pb.h"

#include "common/clock.hpp"
#include "common/status.hpp"
#include "lab/cluster_config.hpp"
#include "lab/fault_board.hpp"

namespace podlab::lab {

/// Whether a request of the command line is about faults.
bool isFaultRequest(const LabRequest& request);
/// Puts all faults in force into the response.
void listFaults(const FaultBoard& faults, const Clock& clock, LabResponse& response);
/// Does what it asks, and puts the faults that it is about into the response.
Status answerFaultRequest(FaultBoard& faults, const Clock& clock, const Cluster& cluster,
                          const LabRequest& request, LabResponse& response);

}  // namespace podlab::lab
