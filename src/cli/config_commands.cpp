#include <cstdio>
#include <vector>

#include "api/codec.hpp"
#include "cli/commands.hpp"
#include "cli/executable.hpp"
#include "cli/lab_launch.hpp"
#include "cli/user_files.hpp"
#include "lab/cluster_config.hpp"
#include "lab/hollow_config.hpp"

namespace podlab::cli {
namespace {

int validate(const Context& context, const std::string& file) {
  const auto text = readInput(file);
  if (!text) return fail(text.status());
  auto cluster = lab::parseCluster(*text);
  if (!cluster) return fail(cluster.status().withContext(file));
  lab::applyClusterDefaults(*cluster);
  // Hosts look at their own networks when they join.
  auto networks =
      lab::hasHosts(*cluster) ? Result(std::vector<lab::HostNetwork>()) : hostNetworks();
  if (!networks) return fail(networks.status());
  const auto causes = lab::validateCluster(*cluster, *networks);
  for (const auto& cause : causes)
    std::fprintf(stderr, "error: %s: %s: %s\n", file.c_str(), cause.field.c_str(),
                 cause.message.c_str());
  if (!causes.empty()) return kFailed;
  const int hollow = lab::hollowCount(*cluster);
  say(context, file + " is valid: " + std::to_string(cluster->nodes_size()) + " nodes" +
                   (hollow > 0 ? " and " + std::to_string(hollow) + " hollow ones." : "."));
  return kDone;
}

}  // namespace

void addConfigCommands(CLI::App& app, Context& context) {
  auto* config = app.add_subcommand("config", "Facts about cluster files");
  config->require_subcommand(1);
  config->add_subcommand("schema", "Print the JSON Schema of cluster files")->callback([&context] {
    std::printf("%s\n", api::jsonSchema(lab::Cluster::descriptor()).c_str());
    context.exitCode = kDone;
  });
  auto file = std::make_shared<std::string>();
  auto* command = app.add_subcommand("validate", "Check a cluster file");
  command->add_option("FILE,-f,--file", *file, "Cluster file, - for stdin")->required();
  command->callback([&context, file] { context.exitCode = validate(context, *file); });
}

void addVersionCommand(CLI::App& app, Context& context) {
  app.add_subcommand("version", "Print the version")->callback([&context] {
    std::printf("podlab %s\n", versionText().c_str());
    context.exitCode = kDone;
  });
}

}  // namespace podlab::cli
