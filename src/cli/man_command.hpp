#pragma once
#include <string>

#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// man, which is hidden: what the package installs as podlab(1).
void addManCommand(CLI::App& app, Context& context);

/// The manual page of all commands, as man(7) has it.
std::string manualPage(const CLI::App& app, const std::string& version);

}  // namespace podlab::cli
