#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

void addGetCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
