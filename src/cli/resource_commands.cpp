#include "cli/commands.hpp"
#include "cli/debug_command.hpp"
#include "cli/delete_command.hpp"
#include "cli/describe_command.hpp"
#include "cli/drain_command.hpp"
#include "cli/events_command.hpp"
#include "cli/explain_placement_command.hpp"
#include "cli/get_command.hpp"
#include "cli/logs_command.hpp"
#include "cli/port_forward_command.hpp"
#include "cli/reach_command.hpp"
#include "cli/stream_commands.hpp"
#include "cli/top_command.hpp"
#include "cli/wait_command.hpp"
#include "cli/write_commands.hpp"

namespace podlab::cli {

void addResourceCommands(CLI::App& app, Context& context) {
  addGetCommand(app, context);
  addDescribeCommand(app, context);
  addWriteCommands(app, context);
  addDeleteCommand(app, context);
  addDrainCommands(app, context);
  addLogsCommand(app, context);
  addStreamCommands(app, context);
  addPortForwardCommand(app, context);
  addDebugCommand(app, context);
  addWaitCommand(app, context);
  addEventsCommand(app, context);
  addReachCommand(app, context);
  addTopCommand(app, context);
  addExplainPlacementCommand(app, context);
}

}  // namespace podlab::cli
