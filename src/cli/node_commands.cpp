#include <algorithm>

#include "agent_rpc.pb.h"

#include "api/kinds.hpp"
#include "cli/ask_lab.hpp"
#include "cli/commands.hpp"
#include "cli/drain_command.hpp"
#include "cli/hosts_down.hpp"
#include "cli/hosts_plan.hpp"
#include "cli/node_readiness.hpp"
#include "cli/session.hpp"
#include "common/filesystem.hpp"

namespace podlab::cli {
namespace {

constexpr Duration kPatience = std::chrono::seconds(10);

struct NodeOptions {
  std::string name;
  std::string wait = "60s";
};

/// What is left to do once the lab has acted.
enum class Then { kNothing, kWaitForReady, kDeleteObject };

Co<int> deleteNodeObject(Session& session, std::string name) {
  const api::ResourceId id{&api::kindFor<corev1::Node>(), "", name, ""};
  api::DeleteOptions options;
  auto removed = co_await session.api.remove(id, std::move(options));
  if (removed || removed.status().is(Code::kNotFound)) co_return kDone;
  co_return fail(removed.status().withContext(
      "the node itself is gone, but the server still lists it; run podlab delete node " + name));
}

/// The agent of a node that is alive would make its Node again: asks whether it answers.
Co<int> checkMachineIsAway(Session& session, std::string name) {
  const api::ResourceId id{&api::kindFor<corev1::Node>(), "", name, ""};
  const auto found = co_await session.api.get(id);
  if (!found) co_return failRequest(found.status());
  auto connection = co_await session.connection.get(session.clock.now() + kPatience);
  if (!connection) co_return fail(connection.status());
  rpc::UsageRequest request;
  request.set_node(name);
  rpc::UsageReport report;
  const Status answered = co_await (*connection)->call("usage", request, report);
  if (answered.is(Code::kUnavailable)) co_return kDone;
  co_return fail(
      Status(Code::kConflict, "node \"" + name +
                                  "\" is alive, and would come back; drain it by podlab "
                                  "drain " +
                                  name + ", and end it on its machine: podlab agent --cleanup"));
}

int act(const Context& context, const NodeOptions& options, const lab::LabRequest& request,
        const std::string& done, Then then) {
  const auto patience = parseDuration(options.wait);
  if (!patience || *patience < Duration(0)) {
    return failUsage("--wait: \"" + options.wait + "\" is not a duration such as 60s or 5m");
  }
  const auto paths = lab::labPaths(context.lab);
  if (!paths) return fail(paths.status());
  // Nodes that are machines of their own are no processes of a lab: only the object is here.
  const bool machine =
      then == Then::kDeleteObject && makeRealFilesystem()->exists(paths->standalone());
  auto answer =
      machine ? Result<lab::LabResponse>(lab::LabResponse()) : askRunningLab(context, request);
  if (!answer) return fail(answer.status());
  bool known = false;  // how to go to the machine
  if (machine) {
    const auto cluster = readCluster(*makeRealFilesystem(), *paths);
    known = cluster && *cluster && std::ranges::any_of((*cluster)->nodes(), [&](const auto& node) {
              return node.name() == options.name && node.has_host();
            });
    // Whether that fails counts only when the node lives.
    if (known && cleanUpHost(context, *paths, **cluster, options.name) == kInterrupted)
      return kInterrupted;
    const int code = withSession(
        context, [&](Session& session) { return checkMachineIsAway(session, options.name); });
    if (code != kDone) return code;
  }
  if (then == Then::kDeleteObject) {
    const int code = withSession(
        context, [&](Session& session) { return deleteNodeObject(session, options.name); });
    if (code != kDone) return code;
  }
  if (known) {
    if (Status forgotten = forgetHost(*paths, options.name); !forgotten.ok())
      return fail(forgotten);
  }
  if (then == Then::kWaitForReady && *patience > Duration(0)) {
    Progress progress(context);
    NodeBoots nodes = runningNodes(*answer);
    std::erase_if(nodes, [&](const auto& node) { return node.first != options.name; });
    const int code = withSession(context, [&](Session& session) {
      return waitForNodes(session, *paths, nodes, *patience, progress);
    });
    if (code != kDone) return code;
  }
  say(context, "Node \"" + options.name + "\" " + done + ".");
  return kDone;
}

using SetName = void (*)(lab::LabRequest&, const std::string&);

void addVerb(CLI::App& node, Context& context, const char* verb, const char* help, const char* done,
             Then then, SetName set) {
  auto options = std::make_shared<NodeOptions>();
  auto* command = node.add_subcommand(verb, help);
  command->add_option("NAME", options->name, "The node")->required();
  if (then == Then::kWaitForReady) {
    command
        ->add_option("--wait", options->wait, "How long to wait until it is Ready, 0s not at all")
        ->capture_default_str();
  }
  command->callback([&context, options, done, then, set] {
    lab::LabRequest request;
    set(request, options->name);
    context.exitCode = act(context, *options, request, done, then);
  });
}

}  // namespace

void addNodeCommands(CLI::App& app, Context& context) {
  auto* node = app.add_subcommand("node", "Add, stop, start, drain, kill or remove a node");
  node->require_subcommand(1);
  addVerb(*node, context, "add", "Add a node to the running lab", "is Ready", Then::kWaitForReady,
          [](lab::LabRequest& request, const std::string& name) {
            request.mutable_addnode()->set_name(name);
          });
  addVerb(*node, context, "start", "Start a stopped or killed node", "is Ready",
          Then::kWaitForReady,
          [](lab::LabRequest& request, const std::string& name) { request.set_startnode(name); });
  addVerb(*node, context, "stop", "Shut a node down: its agent and pods end", "stopped",
          Then::kNothing,
          [](lab::LabRequest& request, const std::string& name) { request.set_stopnode(name); });
  addVerb(*node, context, "kill", "Kill a node at once, as a power failure does", "killed",
          Then::kNothing,
          [](lab::LabRequest& request, const std::string& name) { request.set_killnode(name); });
  addVerb(*node, context, "rm", "Shut a node down and delete its state", "removed",
          Then::kDeleteObject,
          [](lab::LabRequest& request, const std::string& name) { request.set_removenode(name); });
  addDrainCommand(*node, context);
}

}  // namespace podlab::cli
