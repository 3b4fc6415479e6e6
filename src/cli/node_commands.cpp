#include "cli/commands.hpp"
#include "cli/session.hpp"
#include "common/filesystem.hpp"
#include "lab/control.hpp"

namespace podlab::cli {
namespace {

int ask(const Context& context, const lab::LabRequest& request, const std::string& done) {
  auto paths = lab::labPaths(context.lab);
  if (!paths) return fail(paths.status());
  if (!lab::runningLab(*paths))
    return fail(Status(Code::kUnavailable,
                       "the lab \"" + context.lab + "\" is not running; start it with: podlab up"));
  auto answer = lab::askLab(paths->controlSocket(), request);
  if (!answer) return fail(answer.status());
  say(context, done);
  return kDone;
}

}  // namespace

void addNodeCommands(CLI::App& app, Context& context) {
  auto* node = app.add_subcommand("node", "Add, stop, start, kill or remove a node");
  node->require_subcommand(1);
  auto name = std::make_shared<std::string>();
  const auto add = [&](const char* verb, const char* help, const char* done,
                       void (lab::LabRequest::*set)(std::string&&)) {
    auto* command = node->add_subcommand(verb, help);
    command->add_option("NAME", *name, "The node")->required();
    command->callback([&context, name, done, set] {
      lab::LabRequest request;
      (request.*set)(std::string(*name));
      context.exitCode = ask(context, request, "Node \"" + *name + "\" " + done + ".");
    });
  };
  auto* addCommand = node->add_subcommand("add", "Add a node to the running lab");
  addCommand->add_option("NAME", *name, "The new node")->required();
  addCommand->callback([&context, name] {
    lab::LabRequest request;
    request.mutable_addnode()->set_name(*name);
    context.exitCode = ask(context, request, "Node \"" + *name + "\" added.");
  });
  using Setter = void (lab::LabRequest::*)(std::string&&);
  add("stop", "Shut a node down: its agent and pods end", "stopped",
      static_cast<Setter>(&lab::LabRequest::set_stopnode<std::string>));
  add("start", "Start a stopped or killed node", "started",
      static_cast<Setter>(&lab::LabRequest::set_startnode<std::string>));
  add("kill", "Kill a node at once, as a power failure does", "killed",
      static_cast<Setter>(&lab::LabRequest::set_killnode<std::string>));
  add("rm", "Shut a node down and delete its state", "removed",
      static_cast<Setter>(&lab::LabRequest::set_removenode<std::string>));
}

}  // namespace podlab::cli
