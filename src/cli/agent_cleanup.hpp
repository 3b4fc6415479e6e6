#pragma once
#include <string>

#include "cli/agent_process.hpp"
#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab::cli {

/// Keeps others from running an agent with, or cleaning up, the same state folder; kAlreadyExists
/// when one does.
Result<UniqueFd> lockNode(const AgentProcessOptions& options);

/// Whether this machine is another node than `options` say, or one of another cluster than that
/// whose CA has this hash.
Result<bool> isForeignNode(const AgentProcessOptions& options, const std::string& caHash);

/// `podlab agent --cleanup`: ends the pods of this machine and removes all that agents have made on
/// it: containers, links, routes, the table of nftables, namespaces, mounts, cgroups, sysctls, and
/// the state folder with its volumes. May be repeated after a failure. The exit code.
int runCleanup(const AgentProcessOptions& options);
/// `podlab agent --stop`: likewise, as a power failure would do it: the state folder stays, and the
/// pods start again with the next agent.
int runStop(const AgentProcessOptions& options);

}  // namespace podlab::cli
