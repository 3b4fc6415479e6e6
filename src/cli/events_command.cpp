#include "cli/events_command.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/event_text.hpp"
#include "cli/executable.hpp"
#include "cli/printers.hpp"
#include "cli/resources.hpp"
#include "cli/table.hpp"

namespace podlab::cli {
namespace {

struct EventOptions {
  Selection selection;
  OutputFlags output;
  std::string about;  ///< KIND/NAME
  std::vector<std::string> types;
  bool watch = false;
  bool noHeaders = false;
};

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool isWanted(const EventOptions& options, const corev1::Event& event) {
  return options.types.empty() || std::ranges::any_of(options.types, [&](const auto& type) {
           return lower(type) == lower(event.type());
         });
}

std::vector<std::string> eventRow(const corev1::Event& event, const EventOptions& options,
                                  WallTime now) {
  std::vector<std::string> row{eventAge(event, now), event.type(), event.reason(),
                               event.involvedobject().kind() + "/" + event.involvedobject().name(),
                               eventMessage(event)};
  if (options.selection.allNamespaces) row.insert(row.begin(), event.metadata().namespace_());
  return row;
}

std::vector<std::string> header(const EventOptions& options) {
  std::vector<std::string> names{"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"};
  if (options.selection.allNamespaces) names.insert(names.begin(), "NAMESPACE");
  return names;
}

/// Goes on with each event that comes after `from`.
Co<int> watch(Session& session, const EventOptions& options, ObjectPrinter& printer,
              api::ResourceId id, std::string from) {
  api::WatchOptions watchOptions;
  watchOptions.fieldSelector = options.selection.fields;
  watchOptions.resourceVersion = std::move(from);
  auto show = [&, kind = id.kind](const api::WatchEvent& event) {
    const auto& one = api::as<corev1::Event>(event.object);
    if (event.type == api::EventType::kDeleted || !isWanted(options, one)) return Status();
    if (!printer.isHuman()) return printer.print({kind, event.object});
    Table table(header(options));
    table.add(eventRow(one, options, session.clock.wallNow()));
    std::fputs(table.text(false).c_str(), stdout);
    std::fflush(stdout);
    return Status();
  };
  co_return co_await followChanges(session, std::move(id), std::move(watchOptions), show);
}

Co<int> events(Session& session, const EventOptions& options, ObjectPrinter printer) {
  api::ResourceId id{&api::kindFor<corev1::Event>(),
                     options.selection.allNamespaces ? "" : options.selection.ns, "", ""};
  auto found = co_await listSelected(session, options.selection, id);
  if (!found) co_return failRequest(found.status());
  Events present;
  for (const auto& object : found->items) {
    if (isWanted(options, api::as<corev1::Event>(object)))
      present.push_back(api::share<corev1::Event>(object));
  }
  sortEvents(present);
  if (present.empty() && !options.watch) {
    std::fprintf(stderr, "No events found%s\n",
                 options.selection.allNamespaces
                     ? "."
                     : (" in " + options.selection.ns + " namespace.").c_str());
    co_return kDone;
  }
  if (printer.isHuman()) {
    Table table(header(options));
    for (const auto& event : present) table.add(eventRow(*event, options, session.clock.wallNow()));
    std::fputs(table.text(!options.noHeaders).c_str(), stdout);
    std::fflush(stdout);
  } else {
    std::vector<Found> all;
    for (const auto& event : present) all.push_back({id.kind, event});
    if (Status status = printer.printList(all); !status) co_return fail(status);
  }
  if (!options.watch) co_return kDone;
  co_return co_await watch(session, options, printer, id, found->resourceVersion);
}

}  // namespace

void addEventsCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<EventOptions>();
  auto* command = app.add_subcommand("events", "Show events, oldest first");
  addNamespaceFlag(*command, options->selection.ns);
  command->add_flag("-A,--all-namespaces", options->selection.allNamespaces, "In all namespaces");
  command->add_option("--for", options->about, "Of one object, KIND/NAME");
  command->add_option("--types", options->types, "Normal or Warning")
      ->type_name("{Normal,Warning}")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_flag("-w,--watch", options->watch, "Go on with new ones");
  command->add_flag("--no-headers", options->noHeaders, "No header line");
  addOutputFlags(*command, options->output);
  command->callback([&context, options] {
    for (const auto& type : options->types) {
      if (lower(type) == "normal" || lower(type) == "warning") continue;
      context.exitCode = failUsage("valid --types are Normal or Warning");
      return;
    }
    auto printer = options->output.printer();
    if (!printer) {
      context.exitCode = fail(printer.status());
      return;
    }
    if (!options->about.empty()) {
      Selection selection;
      selection.arguments = {options->about};
      auto ids = resolve(selection);
      if (!ids || ids->empty() || ids->front().name.empty()) {
        context.exitCode = failUsage(ids ? "--for must be in resource/name form, e.g. pod/web"
                                         : ids.status().message());
        return;
      }
      options->selection.fields = "involvedObject.kind=" + std::string(ids->front().kind->kind) +
                                  ",involvedObject.name=" + ids->front().name;
    }
    context.exitCode = withSession(
        context, [&](Session& session) { return events(session, *options, std::move(*printer)); });
  });
}

}  // namespace podlab::cli
