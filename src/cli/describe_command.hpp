#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// describe: objects with all that is known of them, for people.
void addDescribeCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
