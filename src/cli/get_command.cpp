#include "cli/get_command.hpp"

#include <cstdio>
#include <optional>
#include <utility>

#include "api/api.hpp"
#include "cli/executable.hpp"
#include "cli/printers.hpp"
#include "cli/resources.hpp"

namespace podlab::cli {
namespace {

struct GetOptions {
  Selection selection;
  OutputFlags output;
  TablePrinter::Options table;
  std::string subresource;
  std::string sortBy;
  std::vector<std::string> labelColumns;
  bool watch = false;
  bool watchOnly = false;
  bool watchEvents = false;
  bool noHeaders = false;
  bool ignoreNotFound = false;
};

/// What was asked for and is there.
struct Gathered {
  std::vector<Found> objects;
  std::vector<const api::Kind*> kinds;  ///< of which there is an answer, empty ones too
  std::vector<Status> failures;
  std::string resourceVersion;
};

Co<Gathered> gather(Session& session, const GetOptions& options,
                    const std::vector<api::ResourceId>& ids) {
  Gathered out;
  for (auto id : ids) {
    id.subresource = options.subresource;
    const api::Kind* kind = &id.kind->seenThrough(id.subresource);
    if (id.name.empty()) {
      auto list = co_await listSelected(session, options.selection, id);
      if (!list) {
        out.failures.push_back(list.status());
        continue;
      }
      out.resourceVersion = list->resourceVersion;
      for (auto& object : list->items) out.objects.push_back({kind, std::move(object)});
    } else {
      auto object = co_await session.api.get(id);
      if (!object) {
        if (!(options.ignoreNotFound && object.status().is(Code::kNotFound)))
          out.failures.push_back(object.status());
        continue;
      }
      out.resourceVersion = api::meta(**object).resourceversion();
      out.objects.push_back({kind, std::move(*object)});
    }
    if (std::ranges::find(out.kinds, kind) == out.kinds.end()) out.kinds.push_back(kind);
  }
  co_return out;
}

TablePrinter tableOf(const GetOptions& options, const api::Kind& kind, bool kindNames) {
  TablePrinter::Options table = options.table;
  table.headers = !options.noHeaders;
  table.kindNames = table.kindNames || kindNames;
  table.namespaces = options.selection.allNamespaces && kind.namespaced();
  table.events = options.watchEvents;
  for (const auto& list : options.labelColumns) {
    for (auto& label : splitList(list)) table.labelColumns.push_back(std::move(label));
  }
  return {kind, std::move(table)};
}

/// Tables of neighbours of one kind, a line between them.
void printTables(const GetOptions& options, const Gathered& found, WallTime now) {
  const bool several = found.kinds.size() > 1;
  std::vector<api::ObjectPtr> section;
  bool any = false;
  for (std::size_t i = 0; i < found.objects.size(); ++i) {
    section.push_back(found.objects[i].object);
    const api::Kind* kind = found.objects[i].kind;
    if (i + 1 < found.objects.size() && found.objects[i + 1].kind == kind) continue;
    if (std::exchange(any, true)) std::puts("");
    tableOf(options, *kind, several).print(section, now);
    section.clear();
  }
}

int failAll(const std::vector<Status>& failures) {
  int code = kDone;
  for (const auto& status : failures) code = failRequest(status);
  return code;
}

Co<int> watch(Session& session, const GetOptions& options, ObjectPrinter printer,
              std::vector<api::ResourceId> ids, Gathered found) {
  if (!found.failures.empty()) co_return failAll(found.failures);
  if (ids.size() > 1) {
    co_return fail(Status(Code::kBadRequest,
                          "watch is only supported on individual resources and resource "
                          "collections - " +
                              std::to_string(ids.size()) + " resources were found"));
  }
  api::ResourceId id = ids.front();
  const api::Kind& kind = *id.kind;
  auto table = tableOf(options, kind, false);
  const std::string added = options.watchEvents ? "ADDED" : "";
  if (!options.watchOnly && printer.isHuman() && !found.objects.empty()) {
    std::vector<api::ObjectPtr> present;
    for (const auto& one : found.objects) present.push_back(one.object);
    table.print(present, session.clock.wallNow(), added);
  }
  for (const auto& one : found.objects) {
    if (options.watchOnly || printer.isHuman()) break;
    if (Status status = printer.print(one, added); !status) co_return fail(status);
  }
  api::WatchOptions watchOptions;
  watchOptions.labelSelector = options.selection.labels;
  watchOptions.fieldSelector =
      id.name.empty() ? options.selection.fields : "metadata.name=" + id.name;
  watchOptions.resourceVersion = std::move(found.resourceVersion);
  id.name.clear();
  auto show = [&](const api::WatchEvent& event) {
    const std::string what(options.watchEvents ? api::nameOf(event.type) : "");
    if (!printer.isHuman()) return printer.print({&kind, event.object}, what);
    table.print({event.object}, session.clock.wallNow(), what);
    return Status();
  };
  co_return co_await followChanges(session, std::move(id), std::move(watchOptions), show);
}

Co<int> get(Session& session, const GetOptions& options, ObjectPrinter printer,
            std::vector<api::ResourceId> ids) {
  auto found = co_await gather(session, options, ids);
  if (options.watch) {
    co_return co_await watch(session, options, std::move(printer), std::move(ids),
                             std::move(found));
  }
  if (!options.sortBy.empty()) {
    if (Status status = sortBy(options.sortBy, found.objects); !status) co_return fail(status);
  }
  const bool single = ids.size() == 1 && !ids.front().name.empty();
  if (!printer.isHuman()) {
    if (single && found.objects.empty()) co_return failAll(found.failures);
    Status status =
        single ? printer.print(found.objects.front()) : printer.printList(found.objects);
    const int code = failAll(found.failures);
    co_return status ? code : fail(status);
  }
  printTables(options, found, session.clock.wallNow());
  if (found.objects.empty() && found.failures.empty() && !options.ignoreNotFound) {
    tellNoneFound(options.selection,
                  std::ranges::all_of(ids, [](const auto& id) { return id.kind->namespaced(); }));
  }
  co_return failAll(found.failures);
}

/// What is wrong with the command line.
Status check(const GetOptions& options, const std::vector<api::ResourceId>& ids) {
  const auto bad = [](const char* what) { return Status(Code::kBadRequest, what); };
  if (ids.empty()) {
    return bad(options.selection.files.empty()
                   ? "You must specify the type of resource to get, e.g. podlab get pods"
                   : "no objects in the manifest");
  }
  const bool oneKind =
      std::ranges::all_of(ids, [&](const auto& id) { return id.kind == ids.front().kind; });
  if (options.watch && !oneKind) return bad("you may only specify a single resource type");
  if (options.watchEvents && !options.watch)
    return bad("--output-watch-events option can only be used with --watch or --watch-only");
  if (options.subresource.empty()) return {};
  if (options.watch) return bad("--subresource goes without --watch");
  if (std::ranges::any_of(ids, [](const auto& id) { return id.name.empty(); }))
    return bad("subresource cannot be used when bulk resources are specified");
  return {};
}

}  // namespace

void addGetCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<GetOptions>();
  auto* command = app.add_subcommand("get", "Show objects, one line each or whole");
  command->add_option("TYPE", options->selection.arguments, "TYPE [NAME...] or TYPE/NAME...");
  addSelectorFlags(*command, options->selection);
  addFileFlags(*command, options->selection);
  addOutputFlags(*command, options->output);
  command
      ->add_option("-L,--label-columns", options->labelColumns, "A column of each label's values")
      ->allow_extra_args(false);
  command->add_flag("--show-labels", options->table.labels, "A column of all labels");
  command->add_flag("--show-kind", options->table.kindNames, "The kind before each name");
  command->add_option("--sort-by", options->sortBy,
                      "By what a JSONPath finds, e.g. .metadata.creationTimestamp");
  command->add_option("--subresource", options->subresource, "status or scale, of named objects")
      ->check(CLI::IsMember({"status", "scale"}));
  command->add_flag("-w,--watch", options->watch, "Go on with each change");
  command->add_flag("--watch-only", options->watchOnly, "Only changes, nothing of the present");
  command->add_flag("--output-watch-events", options->watchEvents,
                    "With a watch: what has happened to each object");
  command->add_flag("--no-headers", options->noHeaders, "No header line");
  command->add_flag("--ignore-not-found", options->ignoreNotFound, "An absent object is no error");
  command->callback([&context, options] {
    options->watch = options->watch || options->watchOnly;
    auto printer = options->output.printer(!options->noHeaders);
    auto ids = printer ? resolve(options->selection)
                       : Result<std::vector<api::ResourceId>>(printer.status());
    if (!ids) {
      context.exitCode = fail(ids.status());
      return;
    }
    if (Status status = check(*options, *ids); !status) {
      context.exitCode = failUsage(status.message());
      return;
    }
    options->table.wide = printer->isWide();
    context.exitCode = withSession(context, [&](Session& session) {
      return get(session, *options, std::move(*printer), *ids);
    });
  });
}

}  // namespace podlab::cli
