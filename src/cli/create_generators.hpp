#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// `create namespace`, `create configmap` and so on: kinds that flags alone can describe.
void addGenerators(CLI::App& create, Context& context);

}  // namespace podlab::cli
