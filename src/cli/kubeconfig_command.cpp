#include "cli/kubeconfig_command.hpp"

#include <cstdio>

#include "cli/kubeconfig.hpp"

namespace podlab::cli {
namespace {

int printKubeconfig(const Context& context) {
  const auto paths = existingLab(context);
  if (!paths) return fail(paths.status());
  const auto entry = kubeconfigEntry(context.lab, *paths);
  if (!entry) return fail(entry.status());
  const auto text = addToKubeconfig("", *entry);
  if (!text) return fail(text.status());
  std::fputs(text->c_str(), stdout);
  return kDone;
}

}  // namespace

void addKubeconfigCommand(CLI::App& app, Context& context) {
  app.add_subcommand("kubeconfig",
                     "Print how kubectl reaches the lab: > FILE, and export KUBECONFIG=FILE")
      ->callback([&context] { context.exitCode = printKubeconfig(context); });
}

}  // namespace podlab::cli
