#pragma once
#include <signal.h>

namespace podlab::node {

/// `podlab shim LOCK [--sealed-runtime]`: what waits for containers and keeps their logs, so that
/// the agent may die.
///
/// The agent starts one shim, with a SOCK_SEQPACKET socket as descriptor 3 and, with
/// --sealed-runtime, the OCI runtime to run (sealed_program.hpp) as 4. It takes the lock file,
/// sends one byte, and from then on forks one process for each request, without exec: small, cheap,
/// and killing it affects its own container only. It ends with the agent; the forked processes
/// stay, and are reaped by the init of their PID namespace. Each holds the lock until its container
/// runs or has failed to, so whoever has the lock finds no container in between.
///
/// A request is a ShimRequest (shim_request.hpp) with one descriptor, the write end of a pipe for
/// the reply: "ok TEXT" or "error TEXT"; nothing when the forked process died.
///
/// Uses no library that starts threads or registers at start-up: a fork must stay cheap.
int shimMain(int argc, char** argv);

/// The shim's descriptors.
inline constexpr int kShimSocket = 3;
inline constexpr int kShimRuntime = 4;  ///< with --sealed-runtime
/// A container's process: the write end of stdin, or the terminal, for an agent to take.
inline constexpr int kShimInput = 32;
/// The signal that makes a container's process close kShimInput.
inline constexpr int kShimEndInput = SIGUSR1;

}  // namespace podlab::node
