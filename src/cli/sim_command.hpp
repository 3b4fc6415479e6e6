#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// sim: a scenario in virtual time.
void addSimCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
