#pragma once
#include <map>
#include <string>

#include "lab_control.pb.h"

#include "cli/context.hpp"
#include "cli/session.hpp"

namespace podlab::cli {

/// Names of nodes with the id of their boot. What the server still knows of an earlier boot, Ready
/// included, is not what runs now.
using NodeBoots = std::map<std::string, std::string>;

/// The nodes that run, by the lab's word.
NodeBoots runningNodes(const lab::LabResponse& lab);

/// Waits until all these nodes are Ready and tells of it on `progress`; the exit code: kFailed,
/// with the reason said, when `patience` is over or the lab died.
Co<int> waitForNodes(Session& session, lab::LabPaths paths, NodeBoots nodes, Duration patience,
                     Progress& progress);

}  // namespace podlab::cli
