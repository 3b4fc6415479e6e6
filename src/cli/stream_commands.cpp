#include "cli/stream_commands.hpp"

#include <unistd.h>

#include <cstdio>

#include "agent_rpc.pb.h"

#include "api/pod_containers.hpp"
#include "cli/pod_containers.hpp"
#include "cli/program_session.hpp"
#include "cli/resources.hpp"

namespace podlab::cli {
namespace {

struct ProgramOptions {
  std::string pod;
  std::string container;
  std::string ns = "default";
  bool stdin = false;
  bool tty = false;
  std::vector<std::string> command;
};

/// Whether this process has a terminal to give.
bool haveTerminal(const Context& context) {
  if (::isatty(STDIN_FILENO) != 0) return true;
  say(context, "Unable to use a TTY - input is not a terminal or the right kind of file");
  return false;
}

Co<int> exec(Session& session, const ProgramOptions& options) {
  if (options.command.empty())
    co_return failUsage("you must specify at least one command for the container");
  auto pod = co_await findPod(session, options.pod, options.ns);
  if (!pod) co_return failRequest(pod.status());
  rpc::ExecRequest request;
  request.set_namespace_((*pod)->metadata().namespace_());
  request.set_pod((*pod)->metadata().name());
  request.set_container(options.container);
  for (const auto& word : options.command) request.add_command(word);
  request.set_stdin(options.stdin);
  request.set_tty(options.tty && options.stdin && haveTerminal(session.context));
  if (options.container.empty()) tellDefault(session.context, **pod);
  auto stream = co_await openStream(session, "exec", rpc::encode(request));
  if (!stream) co_return failRequest(stream.status());
  co_return co_await runProgramSession(
      session, **stream,
      {.stdin = options.stdin, .tty = request.tty(), .exitCode = true, .redraw = false});
}

Co<int> attach(Session& session, const ProgramOptions& options) {
  auto found = co_await findPod(session, options.pod, options.ns);
  if (!found) co_return failRequest(found.status());
  const auto& pod = **found;
  const api::ResourceId id = idOf(Found{&api::kindFor<corev1::Pod>(), *found});
  const auto& phase = pod.status().phase();
  if (phase == "Succeeded" || phase == "Failed") {
    co_return fail(
        Status(Code::kBadRequest,
               "cannot attach a container in a completed pod; current phase is " + phase));
  }
  const auto name = options.container.empty() ? api::defaultContainer(pod) : options.container;
  const auto container = api::containerStreams(pod.spec(), name);
  if (!container) {
    co_return fail(Status(Code::kNotFound, "cannot attach to the container: container " + name + " not found in pod " + id.name));
  }
  if (options.container.empty()) tellDefault(session.context, pod);
  if (options.stdin && !container->stdin) {
    say(session.context,
        "Unable to pass stdin - container " + name + " was not started with stdin: true");
  }
  if (options.tty && !container->tty) {
    std::fprintf(stderr, "error: Unable to use a TTY - container %s did not allocate one\n",
                 name.c_str());
  }
  const bool stdin = options.stdin && container->stdin;
  // A container with a terminal gets this one, asked for or not, as with kubectl.
  const bool tty =
      stdin && container->tty && (options.tty ? haveTerminal(session.context) : ::isatty(0) != 0);
  const int code = co_await attachContainer(session, id, name, stdin, tty);
  if (code == kDone && tty && !session.context.quiet && pod.spec().restartpolicy() == "Always") {
    std::printf(
        "Session ended, resume using 'podlab attach %s -c %s -i -t' command when the pod is "
        "running\n",
        id.name.c_str(), name.c_str());
  }
  co_return code;
}

using Run = Co<int> (*)(Session&, const ProgramOptions&);

CLI::App* addProgramCommand(CLI::App& app, Context& context, const char* name, const char* help,
                            Run run, const std::shared_ptr<ProgramOptions>& options) {
  auto* command = app.add_subcommand(name, help);
  command->add_option("POD", options->pod, "POD, or TYPE/NAME of what has pods")->required();
  command->add_option("-c,--container", options->container, "The container (default: the first)");
  addNamespaceFlag(*command, options->ns);
  command->add_flag("-i,--stdin", options->stdin, "Pass stdin");
  command->add_flag("-t,--tty", options->tty, "With a terminal");
  command->callback([&context, options, run] {
    context.exitCode =
        withSession(context, [&](Session& session) { return run(session, *options); });
  });
  return command;
}

}  // namespace

Co<int> attachContainer(Session& session, const api::ResourceId& pod, const std::string& container,
                        bool stdin, bool tty) {
  rpc::AttachRequest request;
  request.set_namespace_(pod.ns);
  request.set_pod(pod.name);
  request.set_container(container);
  request.set_stdin(stdin);
  request.set_tty(tty);
  auto stream = co_await openStream(session, "attach", rpc::encode(request));
  if (!stream) co_return failRequest(stream.status());
  say(session.context, "If you don't see a command prompt, try pressing enter.");
  co_return co_await runProgramSession(
      session, **stream, {.stdin = stdin, .tty = tty, .exitCode = false, .redraw = true});
}

void addStreamCommands(CLI::App& app, Context& context) {
  auto options = std::make_shared<ProgramOptions>();
  addProgramCommand(app, context, "exec", "Run a command in a container: exec POD [-it] -- COMMAND",
                    exec, options)
      ->add_option("COMMAND", options->command, "The command, after --");
  addProgramCommand(app, context, "attach", "Watch and type to a container's own program", attach,
                    std::make_shared<ProgramOptions>());
}

}  // namespace podlab::cli
