#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// logs and exec.
void addStreamCommands(CLI::App& app, Context& context);

}  // namespace podlab::cli
