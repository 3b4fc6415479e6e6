#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace podlab::cli {

struct Flag {
  std::string longName;   ///< without dashes; "" when there is none
  std::string shortName;  ///< one letter, or ""
  std::string help;
  bool takesValue = false;
  std::vector<std::string> values;  ///< those allowed, empty when any is
};

/// A command as shells and the manual need it.
struct Command {
  std::vector<std::string> path;  ///< {"podlab", "node", "add"}
  std::string help;
  std::vector<std::string> subcommands;
  std::vector<std::string> arguments;  ///< as the help names them
  std::vector<Flag> flags;             ///< those of the commands above it, and then its own
  std::size_t inherited = 0;           ///< of the flags
  bool takesType = false;              ///< its first argument is a type of objects
};

/// All commands, each before those below it; without hidden ones, and without hidden flags.
std::vector<Command> commandTree(const CLI::App& app);

}  // namespace podlab::cli
