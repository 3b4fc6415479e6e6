#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// `podlab up`.
void addUpCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
