#pragma once
#include <string>

#include "cli/context.hpp"
#include "lab/cluster_config.hpp"

namespace podlab::cli {

/// The host's own networks: addresses and routes of its links, which pods must not shadow.
Result<std::vector<lab::HostNetwork>> hostNetworks();

/// Starts the lab whose cluster file is in its state folder, in namespaces of its own, with its API
/// on the host's loopback (the port that it had, when free). Returns once the lab's first process
/// runs.
Status launchLab(const Context& context, const lab::LabPaths& paths);

}  // namespace podlab::cli
