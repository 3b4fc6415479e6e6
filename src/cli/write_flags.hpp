#pragma once
#include <string>

#include <CLI/CLI.hpp>

#include "cli/printers.hpp"
#include "cli/resources.hpp"

namespace podlab::cli {

/// --dry-run: nothing is stored.
struct DryRun {
  std::string value = "none";  ///< "none", "client" or "server"

  bool any() const { return value != "none"; }
  bool client() const { return value == "client"; }
  /// What is said of it behind what was done.
  const char* text() const { return !any() ? "" : client() ? " (dry run)" : " (server dry run)"; }
};
void addDryRunFlag(CLI::App& command, DryRun& dryRun);

/// What every way to create an object takes.
struct CreateFlags {
  std::string ns = "default";
  OutputFlags output;
  DryRun dryRun;
  std::string manager = "podlab";
  bool saveConfig = false;
};
/// -n, --dry-run, -o, --field-manager, --save-config.
void addCreateFlags(CLI::App& command, CreateFlags& flags);
/// Creates the object that the JSON describes, and tells of it; the exit code.
int createObject(const Context& context, const CreateFlags& flags, const std::string& json);

}  // namespace podlab::cli
