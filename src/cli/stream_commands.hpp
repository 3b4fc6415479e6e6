#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// exec and attach.
void addStreamCommands(CLI::App& app, Context& context);

}  // namespace podlab::cli
