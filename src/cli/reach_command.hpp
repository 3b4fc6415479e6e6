#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// reach: every pod to every pod, with real packets.
void addReachCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
