#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// cordon, uncordon and drain, as kubectl's.
void addDrainCommands(CLI::App& app, Context& context);
/// `drain` alone, as a subcommand of `node`.
void addDrainCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
