#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// wait and events.
void addObserveCommands(CLI::App& app, Context& context);

}  // namespace podlab::cli
