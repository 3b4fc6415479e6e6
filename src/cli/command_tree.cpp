#include "cli/command_tree.hpp"

#include <algorithm>

#include "cli/executable.hpp"

namespace podlab::cli {
namespace {

/// The set of a CLI::IsMember check, which is part of the type's name: "TEXT:{json,yaml}".
std::vector<std::string> allowedValues(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const auto open = type.find('{'), close = type.find('}');
  if (open == std::string::npos || close == std::string::npos) return {};
  return splitList(type.substr(open + 1, close - open - 1));
}

void collect(const CLI::App& app, Command command, std::vector<Command>& out) {
  command.path.push_back(app.get_name());
  command.help = app.get_description();
  command.subcommands.clear();
  command.arguments.clear();
  command.inherited = command.flags.size();
  for (const auto* option : app.get_options()) {
    if (option->get_positional()) {
      command.arguments.push_back(option->get_name(true));
      command.takesType = command.takesType || option->get_name(true) == "TYPE";
      if (option->get_lnames().empty() && option->get_snames().empty()) continue;
    }
    if (option->get_group().empty()) continue;
    Flag flag;
    if (!option->get_lnames().empty()) flag.longName = option->get_lnames().front();
    if (!option->get_snames().empty()) flag.shortName = option->get_snames().front();
    // The help flag comes again in each command.
    const bool known =
        std::any_of(command.flags.begin(), command.flags.end(), [&](const Flag& one) {
          return one.longName == flag.longName && one.shortName == flag.shortName;
        });
    if (known) continue;
    flag.help = option->get_description();
    flag.takesValue = option->get_items_expected_max() > 0;
    flag.values = allowedValues(*option);
    command.flags.push_back(std::move(flag));
  }
  const auto subcommands = app.get_subcommands(
      [](const CLI::App* one) { return !one->get_group().empty() && !one->get_name().empty(); });
  for (const auto* one : subcommands) command.subcommands.push_back(one->get_name());
  out.push_back(command);
  for (const auto* one : subcommands) collect(*one, command, out);
}

}  // namespace

std::vector<Command> commandTree(const CLI::App& app) {
  std::vector<Command> commands;
  collect(app, {}, commands);
  return commands;
}

}  // namespace podlab::cli
