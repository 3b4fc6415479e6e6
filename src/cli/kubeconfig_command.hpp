#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// `podlab kubeconfig`: how kubectl reaches the lab.
void addKubeconfigCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
