#pragma once
#include <string>

#include "cli/context.hpp"
#include "lab/cluster_config.hpp"
#include "lab/lab_state.hpp"

namespace podlab::cli {

/// Ends the agents of all machines by ssh: with `cleanup` they are left as they were before they
/// joined. Machines that cannot be reached are told of, with the command to run there; kFailed
/// then, after all others.
int endOnHosts(const Context& context, const lab::LabPaths& paths, const lab::Cluster& cluster,
               bool cleanup);

/// Cleans up the machine of one node by ssh.
int cleanUpHost(const Context& context, const lab::LabPaths& paths, const lab::Cluster& cluster,
                const std::string& node);
/// Takes the node out of the stored cluster.
Status forgetHost(const lab::LabPaths& paths, const std::string& node);

/// The nodes with their machines, and whether they are Ready by the server's word.
int printHosts(const Context& context, const lab::Cluster& cluster);

}  // namespace podlab::cli
