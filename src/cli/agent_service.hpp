#pragma once
#include <string>
#include <vector>

#include "cli/agent_process.hpp"
#include "common/status.hpp"

namespace podlab::cli {

/// `podlab agent --background`: joins, and starts the agent as a service of systemd, or, where
/// systemd does not run, as a process of a session of its own. `flags` are those that it gets; they
/// have no secret. What has not changed goes on. Says on stdout what it did: "podlab-agent
/// started", "restarted" or "running". The exit code.
int startInBackground(const AgentProcessOptions& options, const std::vector<std::string>& flags);

/// Ends what startInBackground() has started, which then does not come back by itself. Nothing of
/// that is no error; an agent that was started in another way is left alone.
Status endInBackground(const AgentProcessOptions& options);

/// The unit of systemd by which `program` runs with these flags: the one of the package
/// (configs/machines), but for the flags, which are in it.
std::string agentUnit(const std::string& program, const std::vector<std::string>& flags);
/// The unit of the package, compiled in.
extern const char* const kAgentUnit;

}  // namespace podlab::cli
