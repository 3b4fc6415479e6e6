#pragma once
#include <set>
#include <string>

#include "cli/context.hpp"
#include "cli/session.hpp"

namespace podlab::cli {

/// Waits until all the named nodes are Ready and tells of it on `progress`; the exit code: kFailed,
/// with the reason said, when `patience` is over or the lab died.
Co<int> waitForNodes(Session& session, const Context& context, lab::LabPaths paths,
                     std::set<std::string> names, Duration patience, Progress& progress);

}  // namespace podlab::cli
