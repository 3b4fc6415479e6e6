#pragma once
#include <string>

#include <CLI/CLI.hpp>

#include "cli/context.hpp"
#include "cli/session.hpp"

namespace podlab::cli {

/// Connects this process's standard streams to the program of a running container. A container
/// with a terminal must be given one with `tty`.
Co<int> attachContainer(Session& session, const api::ResourceId& pod, const std::string& container,
                        bool stdin, bool tty);

/// exec and attach.
void addStreamCommands(CLI::App& app, Context& context);

}  // namespace podlab::cli
