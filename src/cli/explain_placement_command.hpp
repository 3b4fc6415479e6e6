#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

void addExplainPlacementCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
