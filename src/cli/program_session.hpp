#pragma once
#include "cli/session.hpp"
#include "transport/rpc.hpp"

namespace podlab::cli {

struct ProgramSession {
  bool stdin = false;
  bool tty = false;       ///< stdin is a terminal, which becomes raw for the time
  bool exitCode = false;  ///< the last frame has one; otherwise the stream just ends
  bool redraw = false;    ///< the program is told of a changed window, so that it draws anew
};

/// Connects this process's standard streams to a program in a container: ExecFrame messages of
/// proto/agent_rpc.proto both ways. Until the program ends; the exit code of the command.
Co<int> runProgramSession(Session& session, rpc::Stream& stream, ProgramSession options);

}  // namespace podlab::cli
