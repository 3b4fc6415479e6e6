#include "cli/observe_commands.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "api/codec.hpp"
#include "api/conditions.hpp"
#include "cli/event_text.hpp"
#include "cli/resources.hpp"
#include "cli/table.hpp"
#include "common/sync.hpp"

namespace podlab::cli {
namespace {

struct WaitOptions {
  Selection selection;
  std::string condition;
  std::string timeout = "30s";
  bool all = false;
};

/// What --for asks: "delete", or "condition=NAME[=STATUS]".
struct Goal {
  bool deleted = false;
  std::string condition;
  std::string status = "True";

  static std::optional<Goal> parse(const std::string& text) {
    Goal goal;
    if (text == "delete") {
      goal.deleted = true;
      return goal;
    }
    constexpr std::string_view kPrefix = "condition=";
    if (!text.starts_with(kPrefix)) return std::nullopt;
    goal.condition = text.substr(kPrefix.size());
    if (const auto equals = goal.condition.find('='); equals != std::string::npos) {
      goal.status = goal.condition.substr(equals + 1);
      goal.condition.resize(equals);
    }
    if (goal.condition.empty() || goal.status.empty()) return std::nullopt;
    return goal;
  }

  /// Names of conditions and statuses are compared as kubectl does, without case.
  bool metBy(const google::protobuf::Message& object) const {
    const auto same = [](const std::string& a, const std::string& b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                        [](char x, char y) { return std::tolower(x) == std::tolower(y); });
    };
    const auto any = [&](const auto& conditions) {
      return std::any_of(conditions.begin(), conditions.end(), [&](const auto& one) {
        return same(one.type(), condition) && same(one.status(), status);
      });
    };
    if (const auto* pod = dynamic_cast<const corev1::Pod*>(&object))
      return any(pod->status().conditions());
    if (const auto* node = dynamic_cast<const corev1::Node*>(&object))
      return any(node->status().conditions());
    return false;
  }
};

/// Until the object meets the goal. kNotFound at once when it is not there and should be.
Co<Status> waitForOne(Session& session, const Goal& goal, api::ResourceId id) {
  for (;;) {
    auto object = co_await session.api.get(id);
    if (!object) {
      if (goal.deleted && object.status().is(Code::kNotFound)) co_return Status();
      co_return object.status();
    }
    if (!goal.deleted && goal.metBy(**object)) co_return Status();
    api::WatchOptions options;
    options.fieldSelector = "metadata.name=" + id.name;
    options.resourceVersion = api::meta(**object).resourceversion();
    api::ResourceId collection = id;
    collection.name.clear();
    auto watch = co_await session.api.watch(collection, options);
    if (!watch) co_return watch.status();
    for (;;) {
      auto event = co_await (*watch)->next();
      if (!event) break;
      if (event->type == api::EventType::kDeleted) {
        if (goal.deleted) co_return Status();
        break;
      }
      if (event->type != api::EventType::kBookmark && !goal.deleted && goal.metBy(*event->object))
        co_return Status();
    }
  }
}

Co<void> waitInto(Session& session, const Goal& goal, api::ResourceId id, Status& result) {
  result = co_await waitForOne(session, goal, std::move(id));
}

Co<int> wait(Session& session, const WaitOptions& options, Goal goal, Duration timeout,
             std::vector<api::ResourceId> ids) {
  const MonoTime deadline = session.clock.now() + timeout;
  auto named = co_await nameObjects(session, options.selection, std::move(ids));
  if (!named) co_return failRequest(named.status());
  if (named->empty()) {
    if (goal.deleted) co_return kDone;
    co_return fail(Status(Code::kNotFound, "no matching resources found"));
  }
  int code = kDone;
  for (const auto& id : *named) {
    Status status;
    if (!co_await withDeadline(session.clock, deadline, waitInto(session, goal, id, status))) {
      status = conditionTimeout(id);
    }
    if (status.ok()) {
      std::printf("%s condition met\n", displayName(*id.kind, id.name).c_str());
      std::fflush(stdout);
    } else {
      code = fail(status);
    }
  }
  co_return code;
}

struct EventOptions {
  Selection selection;
  std::string about;  ///< KIND/NAME
  std::string types;
  bool watch = false;
  bool noHeaders = false;
};

std::vector<std::string> eventRow(const corev1::Event& event, const EventOptions& options,
                                  WallTime now) {
  std::string kind = event.involvedobject().kind();
  for (char& c : kind) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::vector<std::string> row{eventAge(event, now), event.type(), event.reason(),
                               kind + "/" + event.involvedobject().name(), eventMessage(event)};
  if (options.selection.allNamespaces) row.insert(row.begin(), event.metadata().namespace_());
  return row;
}

Co<int> events(Session& session, const EventOptions& options) {
  api::ResourceId id{&api::kindFor<corev1::Event>(),
                     options.selection.allNamespaces ? "" : options.selection.ns, "", ""};
  std::string fields;
  if (!options.about.empty()) {
    const auto slash = options.about.find('/');
    const auto* kind =
        slash == std::string::npos ? nullptr : api::findByUserName(options.about.substr(0, slash));
    if (!kind)
      co_return failUsage("--for: \"" + options.about + "\" is not KIND/NAME, e.g. pod/web");
    fields = "involvedObject.kind=" + std::string(kind->kind) +
             ",involvedObject.name=" + options.about.substr(slash + 1);
  }
  if (!options.types.empty()) fields += (fields.empty() ? "type=" : ",type=") + options.types;
  api::ListOptions list;
  list.fieldSelector = fields;
  auto found = co_await session.api.list(id, list);
  if (!found) co_return failRequest(found.status());
  Events present;
  for (const auto& object : found->items) present.push_back(api::share<corev1::Event>(object));
  sortEvents(present);
  std::vector<std::string> header{"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"};
  if (options.selection.allNamespaces) header.insert(header.begin(), "NAMESPACE");
  Table table(header);
  for (const auto& event : present) table.add(eventRow(*event, options, session.clock.wallNow()));
  if (table.empty() && !options.watch) {
    std::fprintf(stderr, "No events found%s\n",
                 options.selection.allNamespaces
                     ? "."
                     : (" in " + options.selection.ns + " namespace.").c_str());
    co_return kDone;
  }
  std::fputs(table.text(!options.noHeaders).c_str(), stdout);
  if (!options.watch) co_return kDone;
  std::fflush(stdout);
  api::WatchOptions watchOptions;
  watchOptions.fieldSelector = fields;
  watchOptions.resourceVersion = found->resourceVersion;
  auto watch = co_await session.api.watch(id, watchOptions);
  if (!watch) co_return failRequest(watch.status());
  for (;;) {
    auto event = co_await (*watch)->next();
    if (!event)
      co_return event.status().is(Code::kEndOfStream) ? kDone : failRequest(event.status());
    if (event->type != api::EventType::kAdded && event->type != api::EventType::kModified) continue;
    Table one(header);
    one.add(eventRow(api::as<corev1::Event>(event->object), options, session.clock.wallNow()));
    std::fputs(one.text(false).c_str(), stdout);
    std::fflush(stdout);
  }
}

}  // namespace

void addObserveCommands(CLI::App& app, Context& context) {
  auto waitOptions = std::make_shared<WaitOptions>();
  auto* waitCommand = app.add_subcommand("wait", "Wait until objects meet a condition");
  waitCommand->add_option("TYPE", waitOptions->selection.arguments, "TYPE NAME... or TYPE/NAME...")
      ->required();
  addSelectorFlags(*waitCommand, waitOptions->selection);
  waitCommand->add_option("--for", waitOptions->condition, "condition=NAME[=STATUS] or delete")
      ->required();
  waitCommand->add_option("--timeout", waitOptions->timeout, "How long, 0s: check once")
      ->capture_default_str();
  waitCommand->add_flag("--all", waitOptions->all, "All objects of the type");
  waitCommand->callback([&context, waitOptions] {
    const auto goal = Goal::parse(waitOptions->condition);
    const auto timeout = parseDuration(waitOptions->timeout);
    auto ids = resolveArguments(waitOptions->selection);
    if (!goal) {
      context.exitCode = failUsage("--for: \"" + waitOptions->condition +
                                   "\" is neither delete nor condition=NAME[=STATUS]");
    } else if (!timeout) {
      context.exitCode = failUsage("--timeout: \"" + waitOptions->timeout +
                                   "\" is not a duration such as 60s or 5m");
    } else if (!ids) {
      context.exitCode = fail(ids.status());
    } else if (ids->front().name.empty() && !waitOptions->all &&
               waitOptions->selection.labels.empty() && waitOptions->selection.fields.empty()) {
      context.exitCode = failUsage("name the objects, or give -l or --all");
    } else {
      context.exitCode = withSession(context, [&](Session& session) {
        return wait(session, *waitOptions, *goal, *timeout, *ids);
      });
    }
  });

  auto eventOptions = std::make_shared<EventOptions>();
  auto* eventsCommand = app.add_subcommand("events", "Show events, oldest first");
  addNamespaceFlag(*eventsCommand, eventOptions->selection.ns);
  eventsCommand->add_flag("-A,--all-namespaces", eventOptions->selection.allNamespaces,
                          "In all namespaces");
  eventsCommand->add_option("--for", eventOptions->about, "Of one object, KIND/NAME");
  eventsCommand->add_option("--types", eventOptions->types, "Normal or Warning")
      ->check(CLI::IsMember({"Normal", "Warning"}));
  eventsCommand->add_flag("-w,--watch", eventOptions->watch, "Go on with new ones");
  eventsCommand->add_flag("--no-headers", eventOptions->noHeaders, "No header line");
  eventsCommand->callback([&context, eventOptions] {
    context.exitCode =
        withSession(context, [&](Session& session) { return events(session, *eventOptions); });
  });
}

}  // namespace podlab::cli
