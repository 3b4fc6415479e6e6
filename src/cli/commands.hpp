#pragma once
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/context.hpp"

namespace podlab::cli {

/// Each adds its commands to `app`; a command that runs sets context.exitCode.
void addLabCommands(CLI::App& app, Context& context);   // up, down, ls, status
void addNodeCommands(CLI::App& app, Context& context);  // node add|stop|start|kill|rm
void addFaultCommands(CLI::App& app, Context& context);  // fault partition|loss|...|ls|clear
void addResourceCommands(
    CLI::App& app, Context& context);  // get, describe, apply, create, delete, logs, exec, ...
void addConfigCommands(CLI::App& app, Context& context);  // config schema, validate
void addVersionCommand(CLI::App& app, Context& context);  // version
void addProcessCommands(CLI::App& app,
                        Context& context);  // server, agent, and the lab's own hidden ones

}  // namespace podlab::cli
