#include "cli/commands.hpp"
#include "cli/describe_command.hpp"
#include "cli/get_command.hpp"
#include "cli/observe_commands.hpp"
#include "cli/reach_command.hpp"
#include "cli/stream_commands.hpp"
#include "cli/top_command.hpp"
#include "cli/write_commands.hpp"

namespace podlab::cli {

void addResourceCommands(CLI::App& app, Context& context) {
  addGetCommand(app, context);
  addDescribeCommand(app, context);
  addWriteCommands(app, context);
  addStreamCommands(app, context);
  addObserveCommands(app, context);
  addReachCommand(app, context);
  addTopCommand(app, context);
}

}  // namespace podlab::cli
