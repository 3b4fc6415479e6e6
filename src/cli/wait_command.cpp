#include "cli/wait_command.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "api/codec.hpp"
#include "api/json_path.hpp"
#include "cli/printers.hpp"
#include "cli/resources.hpp"
#include "common/sync.hpp"

namespace podlab::cli {
namespace {

using nlohmann::json;

struct WaitOptions {
  Selection selection;
  OutputFlags output;
  std::string condition;
  std::string timeout = "30s";
  bool all = false;
};

bool sameWord(const std::string& a, const std::string& b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

/// What --for asks: "delete", "create", "condition=NAME[=STATUS]" or "jsonpath=PATH[=VALUE]".
struct Goal {
  enum class Kind { kDeleted, kCreated, kCondition, kValue };
  Kind kind = Kind::kCondition;
  std::string condition;
  std::string value = "true";
  std::vector<api::JsonPath> path;  ///< one, of kValue
  bool any = false;                 ///< whatever the path finds

  static Result<Goal> parse(const std::string& text) {
    Goal goal;
    if (sameWord(text, "delete") || sameWord(text, "create")) {
      goal.kind = sameWord(text, "delete") ? Kind::kDeleted : Kind::kCreated;
      return goal;
    }
    constexpr std::string_view kCondition = "condition=", kPath = "jsonpath=";
    if (text.starts_with(kCondition)) {
      goal.condition = text.substr(kCondition.size());
      if (const auto equals = goal.condition.find('='); equals != std::string::npos) {
        goal.value = goal.condition.substr(equals + 1);
        goal.condition.resize(equals);
      }
      return goal;
    }
    if (!text.starts_with(kPath))
      return Status(Code::kBadRequest, "unrecognized condition: \"" + text + "\"");
    goal.kind = Kind::kValue;
    std::string path = text.substr(kPath.size());
    // A filter may have an equals sign, too: the last one outside of braces.
    const auto brace = path.rfind('}');
    const auto equals = path.find('=', brace == std::string::npos ? 0 : brace);
    goal.any = equals == std::string::npos;
    if (!goal.any) {
      goal.value = path.substr(equals + 1);
      path.resize(equals);
      const char quote = goal.value.empty() ? '\0' : goal.value.front();
      if (goal.value.size() > 1 && (quote == '"' || quote == '\'') && goal.value.back() == quote)
        goal.value = goal.value.substr(1, goal.value.size() - 2);
      if (goal.value.empty())
        return Status(Code::kBadRequest, "jsonpath wait has to have a value after equal sign");
    }
    auto parsed = api::JsonPath::parseRelaxed(path);
    if (!parsed) return parsed.status();
    goal.path.push_back(std::move(*parsed));
    return goal;
  }

  /// Names of conditions and statuses are compared as kubectl does, without case; a condition of an
  /// older generation does not count.
  bool conditionHolds(const json& object) const {
    const auto generation = object["metadata"].value("generation", std::int64_t{0});
    const auto status = object.value("status", json::object());
    for (const auto& one : status.value("conditions", json::array())) {
      if (!sameWord(one.value("type", ""), condition)) continue;
      const auto observed =
          one.value("observedGeneration", status.value("observedGeneration", generation));
      return observed >= generation && sameWord(one.value("status", ""), value);
    }
    return false;
  }

  Result<bool> metBy(const google::protobuf::Message& object) const {
    if (kind == Kind::kCreated) return true;
    const auto document = json::parse(api::toJson(object), nullptr, false);
    if (kind == Kind::kCondition) return conditionHolds(document);
    if (kind == Kind::kDeleted) return false;
    auto found = path.front().find(document);
    if (!found) return found.status();
    if (found->empty() || found->front().empty()) return false;
    if (found->front().size() > 1)
      return Status(Code::kBadRequest, "given jsonpath expression matches more than one value");
    const auto& one = found->front().front();
    if (any) return true;
    if (one.is_structured())
      return Status(Code::kBadRequest,
                    "jsonpath leads to a nested object or list which is not supported");
    return (one.is_string() ? one.get<std::string>() : one.dump()) == value;
  }
};

/// What has become of one object.
struct Outcome {
  Status status;
  api::ObjectPtr object;  ///< null: it was not there to begin with
};

/// Until the object meets the goal. kNotFound at once when it is not there and should be.
Co<void> waitForOne(Session& session, const Goal& goal, api::ResourceId id, Outcome& outcome) {
  for (;;) {
    auto object = co_await session.api.get(id);
    const bool absent = !object && object.status().is(Code::kNotFound);
    if (!object && !(absent && goal.kind == Goal::Kind::kCreated)) {
      outcome.status = absent && goal.kind == Goal::Kind::kDeleted ? Status() : object.status();
      co_return;
    }
    api::WatchOptions options;
    options.fieldSelector = "metadata.name=" + id.name;
    if (object) {
      outcome.object = *object;
      auto met = goal.metBy(**object);
      outcome.status = met.status();
      if (!met || *met) co_return;
      options.resourceVersion = api::meta(**object).resourceversion();
    }
    api::ResourceId collection = id;
    collection.name.clear();
    auto watch = co_await session.api.watch(collection, options);
    outcome.status = watch.status();
    if (!watch) co_return;
    for (;;) {
      auto event = co_await (*watch)->next();
      if (!event) break;
      if (event->type == api::EventType::kDeleted) {
        if (goal.kind == Goal::Kind::kDeleted) co_return;
        break;
      }
      if (event->type == api::EventType::kBookmark) continue;
      outcome.object = event->object;
      auto met = goal.metBy(*event->object);
      outcome.status = met.status();
      if (!met || *met) co_return;
    }
  }
}

/// With --timeout 0: as it is now.
Co<void> checkOne(Session& session, const Goal& goal, api::ResourceId id, Outcome& outcome) {
  auto object = co_await session.api.get(id);
  const bool absent = !object && object.status().is(Code::kNotFound);
  if (absent && goal.kind == Goal::Kind::kDeleted) co_return;
  outcome.status = object.status();
  if (!object) co_return;
  outcome.object = *object;
  auto met = goal.metBy(**object);
  outcome.status = met ? Status() : met.status();
  if (met && !*met) {
    outcome.status = Status(
        Code::kTimeout, "condition not met for " + std::string(id.kind->plural) + "/" + id.name);
  }
}

Co<int> wait(Session& session, const WaitOptions& options, ObjectPrinter printer, const Goal& goal,
             Duration timeout, std::vector<api::ResourceId> ids) {
  // As kubectl: a negative time is a week.
  if (timeout < Duration::zero()) timeout = std::chrono::hours(24 * 7);
  const MonoTime deadline = session.clock.now() + timeout;
  auto named = co_await nameObjects(session, options.selection, std::move(ids));
  if (!named) co_return failRequest(named.status());
  if (named->empty()) {
    if (goal.kind == Goal::Kind::kDeleted) co_return kDone;
    co_return fail(Status(Code::kNotFound, "no matching resources found"));
  }
  int code = kDone;
  for (const auto& id : *named) {
    Outcome outcome;
    if (timeout == Duration::zero()) {
      co_await checkOne(session, goal, id, outcome);
    } else if (!co_await withDeadline(session.clock, deadline,
                                      waitForOne(session, goal, id, outcome))) {
      outcome.status = goal.kind == Goal::Kind::kCreated
                           ? Status(Code::kTimeout, "timed out waiting for the condition")
                           : conditionTimeout(id);
    }
    if (!outcome.status) {
      const bool own = outcome.status.is(Code::kTimeout) || outcome.status.is(Code::kBadRequest);
      code = own ? fail(outcome.status) : failRequest(outcome.status);
    } else if (!outcome.object) {
      continue;
    } else if (printer.isHuman()) {
      std::printf("%s condition met\n", displayName(*id.kind, id.name).c_str());
      std::fflush(stdout);
    } else if (Status status = printer.print({id.kind, outcome.object}); !status) {
      co_return fail(status);
    }
  }
  co_return code;
}

Status check(const WaitOptions& options, const Goal& goal,
             const std::vector<api::ResourceId>& ids) {
  const auto bad = [](const char* what) { return Status(Code::kBadRequest, what); };
  if (ids.empty()) return bad("name the objects, e.g. podlab wait pod web --for condition=Ready");
  const bool named = !ids.front().name.empty();
  if (!named && goal.kind == Goal::Kind::kCreated)
    return bad("--for=create takes the names of objects");
  if (!named && !options.all && !options.selection.selects())
    return bad("resource(s) were provided, but no name was specified");
  if (named && options.all) return bad("name cannot be provided when a selector is specified");
  return {};
}

}  // namespace

void addWaitCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<WaitOptions>();
  auto* command = app.add_subcommand("wait", "Wait until objects meet a condition");
  command->add_option("TYPE", options->selection.arguments, "TYPE NAME... or TYPE/NAME...");
  addSelectorFlags(*command, options->selection);
  addFileFlags(*command, options->selection);
  addOutputFlags(*command, options->output);
  command
      ->add_option("--for", options->condition,
                   "condition=NAME[=STATUS], jsonpath=PATH[=VALUE], create or delete")
      ->required();
  command->add_option("--timeout", options->timeout, "How long, 0s: check once")
      ->capture_default_str();
  command->add_flag("--all", options->all, "All objects of the type");
  command->callback([&context, options] {
    auto goal = Goal::parse(options->condition);
    const auto timeout = parseDuration(options->timeout);
    auto printer = options->output.printer();
    auto ids = printer ? resolve(options->selection)
                       : Result<std::vector<api::ResourceId>>(printer.status());
    if (!goal) {
      context.exitCode = failUsage(goal.status().message());
    } else if (!timeout) {
      context.exitCode =
          failUsage("--timeout: \"" + options->timeout + "\" is not a duration such as 60s or 5m");
    } else if (!ids) {
      context.exitCode = fail(ids.status());
    } else if (Status status = check(*options, *goal, *ids); !status) {
      context.exitCode = failUsage(status.message());
    } else {
      context.exitCode = withSession(context, [&](Session& session) {
        return wait(session, *options, std::move(*printer), *goal, *timeout, *ids);
      });
    }
  });
}

}  // namespace podlab::cli
