#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// token create|ls|rm: what lets machines join.
void addTokenCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
