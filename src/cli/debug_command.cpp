#include "cli/debug_command.hpp"

#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "api/kinds.hpp"
#include "cli/resources.hpp"
#include "cli/session.hpp"
#include "cli/stream_commands.hpp"
#include "client/modify.hpp"

namespace podlab::cli {
namespace {

struct DebugOptions {
  std::string pod;
  std::string ns = "default";
  std::string image;
  std::string target;
  std::string container;
  bool stdin = false;
  bool tty = false;
  std::vector<std::string> command;
};

/// As kubectl names them.
std::string randomName(Rng& rng) {
  constexpr std::string_view kLetters = "bcdfghjklmnpqrstvwxz2456789";
  std::string name = "debugger-";
  for (int i = 0; i < 5; ++i) name += kLetters[rng.below(kLetters.size())];
  return name;
}

corev1::EphemeralContainer makeContainer(const DebugOptions& options) {
  corev1::EphemeralContainer added;
  auto& common = *added.mutable_ephemeralcontainercommon();
  common.set_name(options.container);
  common.set_image(options.image);
  for (const auto& word : options.command) common.add_command(word);
  common.set_stdin(options.stdin);
  common.set_tty(options.tty);
  // A pipe's end is the end of the input, as with `kubectl run -i`.
  common.set_stdinonce(options.stdin && !options.tty);
  if (!options.target.empty()) added.set_targetcontainername(options.target);
  return added;
}

/// Until the container runs or has ended; its state.
Co<Result<corev1::ContainerState>> waitForStart(Session& session, api::ResourceId id,
                                                const std::string& name) {
  for (std::string shown;;) {
    auto object = co_await session.api.get(id);
    if (!object) co_return object.status();
    const auto& pod = api::as<corev1::Pod>(*object);
    for (const auto& status : pod.status().ephemeralcontainerstatuses()) {
      if (status.name() != name) continue;
      if (status.state().has_running() || status.state().has_terminated()) co_return status.state();
      // Nobody should wait in ignorance of what is in the way.
      const auto& waiting = status.state().waiting();
      if (!waiting.message().empty() && waiting.message() != shown)
        say(session.context, "Warning: container " + name + ": " + waiting.message());
      if (!waiting.message().empty()) shown = waiting.message();
    }
    if (pod.status().phase() == "Succeeded" || pod.status().phase() == "Failed") {
      co_return Status(Code::kBadRequest,
                       "pod " + id.name + " has ended; its phase is " + pod.status().phase());
    }
    api::WatchOptions options;
    options.fieldSelector = "metadata.name=" + id.name;
    options.resourceVersion = pod.metadata().resourceversion();
    api::ResourceId collection = id;
    collection.name.clear();
    auto watch = co_await session.api.watch(std::move(collection), options);
    if (!watch) co_return watch.status();
    // Any change is worth a look.
    (void)co_await (*watch)->next();
  }
}

Co<int> debug(Session& session, DebugOptions options, api::ResourceId id) {
  auto pod = co_await session.api.get(id);
  if (!pod) co_return failRequest(pod.status());
  if (options.container.empty()) {
    options.container = randomName(session.rng);
    say(session.context, "Defaulting debug container name to " + options.container + ".");
  }
  const auto added = makeContainer(options);
  api::ResourceId part = id;
  part.subresource = "ephemeralcontainers";
  client::Change change = [&added](google::protobuf::Message& object) {
    *static_cast<corev1::Pod&>(object).mutable_spec()->add_ephemeralcontainers() = added;
    return true;
  };
  auto changed = co_await client::modify(session.api, std::move(part), *pod, std::move(change));
  if (!changed) co_return failRequest(changed.status());
  if (!options.stdin) co_return kDone;

  auto state = co_await waitForStart(session, id, options.container);
  if (!state) co_return failRequest(state.status());
  if (state->has_terminated()) {
    const auto& end = state->terminated();
    co_return fail(
        Status(Code::kInternal, "container " + options.container + " has ended: " + end.reason() +
                                    ", exit code " + std::to_string(end.exitcode()) +
                                    (end.message().empty() ? "" : ": " + end.message()) +
                                    "; see podlab logs " + id.name + " -c " + options.container));
  }
  const bool tty = options.tty && ::isatty(STDIN_FILENO) != 0;
  if (options.tty && !tty)
    say(session.context, "Unable to use a TTY - input is not a terminal or the right kind of file");
  co_return co_await attachContainer(session, id, options.container, true, tty);
}

}  // namespace

void addDebugCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<DebugOptions>();
  auto* command = app.add_subcommand(
      "debug", "Add a container to a running pod: debug POD [-it] --image IMAGE [-- COMMAND]");
  command->add_option("POD", options->pod, "POD or pod/POD")->required();
  command->add_option("--image", options->image, "The container's image")->required();
  command->add_option("--target", options->target,
                      "The container whose processes the new one is to see");
  command->add_option("-c,--container", options->container, "The new container's name");
  addNamespaceFlag(*command, options->ns);
  command->add_flag("-i,--stdin", options->stdin, "Attach to it, and pass stdin");
  command->add_flag("-t,--tty", options->tty, "With a terminal");
  command->add_option("COMMAND", options->command, "Its command, after --");
  command->callback([&context, options] {
    auto pod = resolveOne(options->pod, options->ns, api::kindFor<corev1::Pod>());
    if (pod && pod->kind != &api::kindFor<corev1::Pod>()) {
      context.exitCode = failUsage("debug takes pods, not " + displayName(*pod->kind, pod->name) +
                                   "; kubectl debug knows nodes as well");
      return;
    }
    context.exitCode =
        pod ? withSession(context, [&](Session& session) { return debug(session, *options, *pod); })
            : fail(pod.status());
  });
}

}  // namespace podlab::cli
