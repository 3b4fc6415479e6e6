#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <CLI/CLI.hpp>

#include "cli/commands.hpp"
#include "cli/completion_command.hpp"
#include "cli/custom_kinds.hpp"
#include "cli/doctor_command.hpp"
#include "cli/executable.hpp"
#include "cli/image_command.hpp"
#include "cli/kubeconfig_command.hpp"
#include "cli/man_command.hpp"
#include "cli/sim_command.hpp"
#include "cli/token_command.hpp"
#include "node/shim.hpp"
#include "node/stand_in.hpp"

namespace podlab::cli {
namespace {

/// In kubectl's words where a command or flag is unknown.
std::string whatIsWrong(const CLI::App& app, const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const auto unknown = app.remaining(true);
  if (unknown.empty()) return error.what();
  if (unknown.front().starts_with("-")) return "unknown flag: " + unknown.front();
  if (chosen.empty())
    return "unknown command \"" + unknown.front() + "\"; podlab --help lists them";
  return error.what();
}

int run(int argc, char** argv) {
  Context context;
  if (const char* name = std::getenv("PODLAB_NAME"); name && *name) context.lab = name;

  CLI::App app("Real multi-node pod clusters on one machine, without root, Docker or images.",
               "podlab");
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--name", context.lab, "The lab (default $PODLAB_NAME or \"default\")");
  app.add_flag("-q,--quiet", context.quiet, "Say nothing but errors");
  app.add_option("--log-level", context.logLevel, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->group("");
  app.set_version_flag("--version", "podlab " + versionText());
  offerCustomKinds(context);
  addLabCommands(app, context);
  addNodeCommands(app, context);
  addFaultCommands(app, context);
  addSimCommand(app, context);
  addTokenCommand(app, context);
  addImageCommand(app, context);
  addResourceCommands(app, context);
  addConfigCommands(app, context);
  addVersionCommand(app, context);
  addProcessCommands(app, context);
  addDoctorCommand(app, context);
  addCompletionCommand(app, context);
  addManCommand(app, context);
  addKubeconfigCommand(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are no errors.
    if (error.get_exit_code() == 0) return app.exit(error);
    return failUsage(whatIsWrong(app, error));
  }
  return context.exitCode;
}

}  // namespace
}  // namespace podlab::cli

int main(int argc, char** argv) {
  // Every container has one of these: it starts before anything else is set up.
  if (argc > 1 && std::string_view(argv[1]) == "shim") return podlab::node::shimMain(argc, argv);
  if (argc > 1 && std::string_view(argv[1]) == "stand-in")
    return podlab::node::standInMain(argc, argv);
  return podlab::cli::run(argc, argv);
}
