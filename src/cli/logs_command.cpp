#include "cli/logs_command.hpp"

#include <unistd.h>

#include <cstdio>
#include <optional>

#include "agent_rpc.pb.h"

#include "api/pod_containers.hpp"
#include "cli/pod_containers.hpp"
#include "cli/resources.hpp"
#include "cli/std_stream.hpp"
#include "common/sync.hpp"

namespace podlab::cli {
namespace {

/// As kubectl: of pods that a selector finds, so many lines.
constexpr std::int64_t kTailOfSelected = 10;

struct LogOptions {
  std::vector<std::string> arguments;  ///< POD [CONTAINER]
  std::string container;
  std::string ns = "default";
  std::string selector;
  bool allContainers = false;
  bool allPods = false;
  bool ignoreErrors = false;
  bool prefix = false;
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  std::optional<std::int64_t> tail;
  std::optional<std::int64_t> limitBytes;
  std::string since;
  std::string sinceTime;
  int maxRequests = 5;
};

/// What is wrong with the command line; OK otherwise. Reads `since` and `sinceTime` into `request`.
Status readOptions(const LogOptions& options, WallTime now, rpc::LogRequest& request) {
  const auto bad = [](std::string why) { return Status(Code::kBadRequest, std::move(why)); };
  if (options.arguments.empty() == options.selector.empty())
    return bad(options.selector.empty() ? "POD or -l SELECTOR is required"
                                        : "only a selector (-l) or a POD name is allowed");
  if (options.arguments.size() > 2) return bad("POD [CONTAINER] are the only arguments");
  const bool named = !options.container.empty() || options.arguments.size() == 2;
  if (!options.container.empty() && options.arguments.size() == 2)
    return bad("only one of -c or an inline [CONTAINER] arg is allowed");
  if (options.allContainers && named)
    return bad("--all-containers should not be specified with a container name");
  if (!options.since.empty() && !options.sinceTime.empty())
    return bad("at most one of `sinceTime` or `sinceSeconds` may be specified");
  if (options.tail && *options.tail < -1) return bad("--tail must be greater than or equal to -1");
  if (!options.since.empty()) {
    const auto since = parseDuration(options.since);
    if (!since || *since <= Duration::zero())
      return bad("--since: \"" + options.since + "\" is not a duration such as 5s, 2m or 3h");
    request.set_sincenanos((now - *since).time_since_epoch().count());
  }
  if (!options.sinceTime.empty()) {
    const auto since = parseTime(options.sinceTime);
    if (!since)
      return bad("--since-time: \"" + options.sinceTime +
                 "\" is not a time such as 2026-01-31T12:00:00Z");
    request.set_sincenanos(since->time_since_epoch().count());
  }
  request.set_follow(options.follow);
  request.set_previous(options.previous);
  request.set_timestamps(options.timestamps);
  if (options.limitBytes) request.set_limitbytes(*options.limitBytes);
  const auto tail = options.tail.value_or(options.selector.empty() ? -1 : kTailOfSelected);
  if (tail >= 0) request.set_taillines(tail);
  return {};
}

/// One container's log on its way to stdout.
struct Source {
  rpc::LogRequest request;
  std::string prefix;
  int code = kDone;
};

/// stdout for several sources: each puts whole lines.
class Output {
 public:
  Output(const asio::any_io_executor& executor, bool shared)
      : out_(executor, STDOUT_FILENO), shared_(shared) {}

  /// Whether lines have to be put together: other text comes between, or they have a prefix.
  bool byLine(const Source& source) const { return shared_ || !source.prefix.empty(); }

  Co<bool> put(std::string text) {
    while (busy_) co_await free_.wait();
    busy_ = true;
    const bool read = co_await out_.write(text);
    busy_ = false;
    free_.notifyOne();
    co_return read;
  }

 private:
  StdStream out_;
  bool shared_;
  bool busy_ = false;
  WaitQueue free_;
};

/// Moves the whole lines of `pending`, or with `all` everything, out of it, each after `prefix`.
std::string takeLines(std::string& pending, const std::string& prefix, bool all) {
  std::string text;
  std::size_t begin = 0;
  for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n', begin)) {
    text.append(prefix).append(pending, begin, end + 1 - begin);
    begin = end + 1;
  }
  pending.erase(0, begin);
  if (all && !pending.empty()) text.append(prefix).append(std::exchange(pending, {}));
  return text;
}

Co<void> copyLog(Session& session, Source& source, Output& output) {
  auto stream = co_await openStream(session, "logs", rpc::encode(source.request));
  Status status = stream.status();
  std::string pending;
  while (status.ok()) {
    auto bytes = co_await (*stream)->receive();
    const bool end = !bytes;
    if (end) status = bytes.status();
    rpc::LogChunk chunk;
    if (!end) status = rpc::decode(*bytes, chunk);
    if (status.ok() && !output.byLine(source)) {
      if (!co_await output.put(std::move(*chunk.mutable_data()))) co_return;
      continue;
    }
    pending += chunk.data();
    auto lines = takeLines(pending, source.prefix, end);
    if (!lines.empty() && !co_await output.put(std::move(lines))) co_return;
  }
  if (!status.is(Code::kEndOfStream)) source.code = failRequest(status);
}

void addSource(const LogOptions& options, rpc::LogRequest request, const corev1::Pod& pod,
               const std::string& container, std::vector<Source>& sources) {
  Source source;
  request.set_namespace_(pod.metadata().namespace_());
  request.set_pod(pod.metadata().name());
  request.set_container(container);
  source.request = std::move(request);
  if (options.prefix) source.prefix = "[pod/" + pod.metadata().name() + "/" + container + "] ";
  sources.push_back(std::move(source));
}

/// kBadRequest when the pod has no such container.
Status addSources(const Context& context, const LogOptions& options, const rpc::LogRequest& request,
                  const corev1::Pod& pod, std::vector<Source>& sources) {
  if (options.allContainers) {
    for (const auto& container : api::containerNames(pod.spec()))
      addSource(options, request, pod, container, sources);
    return {};
  }
  const auto& named = options.arguments.size() == 2 ? options.arguments[1] : options.container;
  if (named.empty()) tellDefault(context, pod);
  if (!named.empty() && !api::containerStreams(pod.spec(), named)) {
    return {Code::kBadRequest,
            "container " + named + " is not valid for pod " + pod.metadata().name()};
  }
  addSource(options, request, pod, named.empty() ? api::defaultContainer(pod) : named, sources);
  return {};
}

Co<int> logs(Session& session, const LogOptions& options) {
  rpc::LogRequest request;
  if (Status bad = readOptions(options, session.clock.wallNow(), request); !bad)
    co_return failUsage(bad.message());
  std::vector<Source> sources;
  if (options.selector.empty()) {
    auto pods = co_await podsOf(session, options.arguments[0], options.ns);
    if (!pods) {
      const auto& status = pods.status();
      // In the words of kubectl's logs.
      if (!status.is(Code::kNotFound)) co_return failRequest(status);
      co_return fail(Status(status.code(), "error from server (NotFound): " + status.message() +
                                               " in namespace \"" + options.ns + "\""));
    }
    if (pods->empty()) {
      co_return fail(Status(Code::kNotFound, "no pods of " + options.arguments[0] +
                                                 " are there; wait for them, or name a pod"));
    }
    if (!options.allPods) {
      if (pods->size() > 1) {
        std::fprintf(stderr, "Found %zu pods, using pod/%s\n", pods->size(),
                     pods->front()->metadata().name().c_str());
      }
      pods->resize(1);
    }
    for (const auto& pod : *pods) {
      Status added = addSources(session.context, options, request, *pod, sources);
      if (!added) co_return fail(added);
    }
  } else {
    api::ListOptions list;
    list.labelSelector = options.selector;
    api::ResourceId pods{&api::kindFor<corev1::Pod>(), options.ns, "", ""};
    auto found = co_await session.api.list(std::move(pods), std::move(list));
    if (!found) co_return failRequest(found.status());
    if (found->items.empty()) {
      say(session.context, "No resources found in " + options.ns + " namespace.");
      co_return kDone;
    }
    for (const auto& pod : found->items) {
      Status added =
          addSources(session.context, options, request, api::as<corev1::Pod>(pod), sources);
      if (!added) co_return fail(added);
    }
  }
  if (options.follow && sources.size() > static_cast<std::size_t>(options.maxRequests)) {
    co_return fail(Status(Code::kTooManyRequests,
                          "you are attempting to follow " + std::to_string(sources.size()) +
                              " log streams, but maximum allowed concurrency is " +
                              std::to_string(options.maxRequests) +
                              ", use --max-log-requests to increase the limit"));
  }
  const auto executor = session.io.get_executor();
  Output output(executor, sources.size() > 1);
  TaskGroup tasks(executor);
  for (auto& source : sources) {
    if (options.follow) {
      tasks.spawn("log", copyLog(session, source, output));
      continue;
    }
    co_await copyLog(session, source, output);
    if (source.code != kDone && !options.ignoreErrors) co_return source.code;
  }
  co_await tasks.join();
  for (const auto& source : sources) {
    if (source.code != kDone && !options.ignoreErrors) co_return source.code;
  }
  co_return kDone;
}

}  // namespace

void addLogsCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<LogOptions>();
  auto* command = app.add_subcommand("logs", "Print containers' logs");
  command->add_option("POD", options->arguments,
                      "POD, or TYPE/NAME of what has pods, and perhaps a container");
  command->add_option("-c,--container", options->container,
                      "The container, when the pod has several");
  addNamespaceFlag(*command, options->ns);
  command->add_option("-l,--selector", options->selector,
                      "Of all pods with these labels, instead of POD");
  command->add_flag("--all-containers", options->allContainers, "Of all containers of the pod");
  command->add_flag("--all-pods", options->allPods,
                    "Of all pods of TYPE/NAME, each line after its pod's name");
  command->add_flag("--ignore-errors", options->ignoreErrors,
                    "With -f: go on with the other logs when one cannot be read");
  command->add_flag("--prefix", options->prefix, "The pod and the container before each line");
  command->add_flag("-f,--follow", options->follow, "Go on with what is written");
  command->add_flag("-p,--previous", options->previous, "Of the container's previous run");
  command->add_flag("--timestamps", options->timestamps, "A timestamp before each line");
  command->add_option("--tail", options->tail, "Only the last lines, -1 all (10 with -l)");
  command->add_option("--limit-bytes", options->limitBytes, "At most so many bytes")
      ->check(CLI::PositiveNumber);
  command->add_option("--since", options->since, "Only what is newer, e.g. 5m");
  command->add_option("--since-time", options->sinceTime,
                      "Only what is newer, e.g. 2026-01-31T12:00:00Z");
  command->add_option("--max-log-requests", options->maxRequests, "Logs to follow at a time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->callback([&context, options] {
    options->prefix = options->prefix || options->allPods;
    context.exitCode =
        withSession(context, [&](Session& session) { return logs(session, *options); });
  });
}

}  // namespace podlab::cli
