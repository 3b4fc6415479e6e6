#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// `podlab image load|pull|import|build-rootfs|ls|rm|prune`: the images of this host, for all labs.
void addImageCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
