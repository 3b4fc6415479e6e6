#pragma once
#include <string>

#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// completion: scripts for shells.
void addCompletionCommand(CLI::App& app, Context& context);

/// The script for "bash", "zsh" or "fish" that completes the commands and flags of `app`, the
/// values that flags allow, and types of objects.
std::string completionScript(const CLI::App& app, const std::string& shell);

}  // namespace podlab::cli
