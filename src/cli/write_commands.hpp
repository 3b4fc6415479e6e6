#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// apply, create and delete.
void addWriteCommands(CLI::App& app, Context& context);

}  // namespace podlab::cli
