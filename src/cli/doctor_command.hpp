#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// doctor: what this host offers and lacks.
void addDoctorCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
