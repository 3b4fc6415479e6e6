#include "cli/get_command.hpp"

#include <cstdio>
#include <map>
#include <optional>
#include <utility>

#include "api/api.hpp"
#include "api/codec.hpp"
#include "cli/resources.hpp"
#include "cli/table.hpp"
#include "common/yaml.hpp"

namespace podlab::cli {
namespace {

struct GetOptions {
  Selection selection;
  std::string subresource;
  std::string output;
  bool watch = false;
  bool watchOnly = false;
  bool noHeaders = false;
  bool ignoreNotFound = false;
  bool showManagedFields = false;
};

api::TypeMeta typeOf(const api::Kind& kind) {
  return {kind.apiVersion(), std::string(kind.kind)};
}

/// Without managedFields, which are for machines, unless they are asked for.
api::ObjectPtr shown(const api::ObjectPtr& object, const GetOptions& options) {
  if (options.showManagedFields || api::meta(*object).managedfields().empty()) return object;
  api::MutableObjectPtr copy(object->New());
  copy->CopyFrom(*object);
  api::mutableMeta(*copy).clear_managedfields();
  return copy;
}

std::string listJson(const std::vector<api::ObjectPtr>& objects, int indent) {
  std::string out;
  JsonWriter writer(out, indent);
  writer.beginObject();
  writer.key("apiVersion");
  writer.string("v1");
  writer.key("items");
  writer.beginArray();
  for (const auto& object : objects) api::writeJson(writer, *object, typeOf(*api::kindOf(*object)));
  writer.endArray();
  writer.key("kind");
  writer.string("List");
  writer.key("metadata");
  writer.beginObject();
  writer.key("resourceVersion");
  writer.string("");
  writer.endObject();
  writer.endObject();
  return out;
}

/// Prints objects as the -o format says; tables keep their widths for later rows of a watch.
class Printer {
 public:
  Printer(const GetOptions& options, const api::Kind& kind, bool prefixed)
      : options_(options), kind_(kind), prefixed_(prefixed), header_(!options.noHeaders) {}

  void print(const std::vector<api::ObjectPtr>& objects, WallTime now) {
    if (options_.output == "name") {
      for (const auto& object : objects)
        std::printf("%s\n", displayName(kind_, api::meta(*object).name()).c_str());
      return;
    }
    if (options_.output == "json" || options_.output == "yaml") {
      for (const auto& object : objects) printObject(*object, options_.output);
      return;
    }
    const bool wide = options_.output == "wide";
    const bool withNamespace = options_.selection.allNamespaces && kind_.namespaced();
    std::vector<std::string> header;
    if (withNamespace) header.push_back("NAMESPACE");
    for (const auto& column : kind_.columns) {
      if (column.priority > 0 && !wide) continue;
      std::string name(column.name);
      for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      header.push_back(std::move(name));
    }
    Table table(std::move(header));
    for (const auto& object : objects) {
      std::vector<std::string> row;
      if (withNamespace) row.push_back(api::meta(*object).namespace_());
      bool first = true;
      for (const auto& column : kind_.columns) {
        if (column.priority > 0 && !wide) continue;
        std::string cell = column.cell(*object, now);
        row.push_back(first && prefixed_ ? displayName(kind_, cell) : std::move(cell));
        first = false;
      }
      table.add(std::move(row));
    }
    std::fputs(table.text(header_).c_str(), stdout);
    header_ = false;
    std::fflush(stdout);
  }

  static void printObject(const google::protobuf::Message& object, const std::string& format) {
    const auto type = typeOf(*api::kindOf(object));
    if (format == "yaml") {
      std::fputs(api::toYaml(object, type).c_str(), stdout);
    } else {
      api::EncodeOptions encode;
      encode.type = type;
      encode.indent = 4;
      std::printf("%s\n", api::toJson(object, encode).c_str());
    }
    std::fflush(stdout);
  }

 private:
  const GetOptions& options_;
  const api::Kind& kind_;
  bool prefixed_;
  bool header_;
};

Co<int> watchChanges(Session& session, const GetOptions& options, api::ResourceId id,
                     std::string resourceVersion, Printer& printer) {
  api::WatchOptions watchOptions;
  watchOptions.labelSelector = options.selection.labels;
  watchOptions.fieldSelector =
      id.name.empty() ? options.selection.fields : "metadata.name=" + id.name;
  watchOptions.resourceVersion = std::move(resourceVersion);
  id.name.clear();
  auto watch = co_await session.api.watch(id, watchOptions);
  if (!watch) co_return failRequest(watch.status());
  for (;;) {
    auto event = co_await (*watch)->next();
    if (!event)
      co_return event.status().is(Code::kEndOfStream) ? kDone : failRequest(event.status());
    if (event->type == api::EventType::kBookmark) continue;
    std::vector<api::ObjectPtr> changed{shown(event->object, options)};
    printer.print(changed, session.clock.wallNow());
  }
}

Co<int> get(Session& session, const GetOptions& options, std::vector<api::ResourceId> ids) {
  std::map<const api::Kind*, std::vector<api::ObjectPtr>> byKind;
  std::vector<const api::Kind*> order;
  std::string resourceVersion;
  int code = kDone;
  for (auto& id : ids) {
    id.subresource = options.subresource;
    const api::Kind* kind = &id.kind->seenThrough(id.subresource);
    if (!byKind.contains(kind)) order.push_back(kind);
    auto& objects = byKind[kind];
    if (!id.name.empty()) {
      auto object = co_await session.api.get(id);
      if (object) {
        objects.push_back(shown(*object, options));
        resourceVersion = api::meta(**object).resourceversion();
      } else if (!(options.ignoreNotFound && object.status().is(Code::kNotFound))) {
        code = failRequest(object.status());
      }
      continue;
    }
    api::ListOptions list;
    list.labelSelector = options.selection.labels;
    list.fieldSelector = options.selection.fields;
    auto result = co_await session.api.list(id, list);
    if (!result) co_return failRequest(result.status());
    resourceVersion = result->resourceVersion;
    for (const auto& item : result->items) objects.push_back(shown(item, options));
  }

  const bool structured = options.output == "json" || options.output == "yaml";
  const bool single = ids.size() == 1 && !ids.front().name.empty();
  if (structured && !single && !options.watch) {
    std::vector<api::ObjectPtr> all;
    for (const auto* kind : order) all.insert(all.end(), byKind[kind].begin(), byKind[kind].end());
    if (options.output == "json") {
      std::printf("%s\n", listJson(all, 4).c_str());
    } else {
      auto yaml = jsonToYaml(listJson(all, 0));
      if (!yaml) co_return fail(yaml.status());
      std::fputs(yaml->c_str(), stdout);
    }
    co_return code;
  }
  std::size_t found = 0;
  bool printed = false;
  std::optional<Printer> printer;
  for (const auto* kind : order) {
    const auto& objects = byKind[kind];
    found += objects.size();
    printer.emplace(options, *kind, order.size() > 1);
    if (!objects.empty() && !options.watchOnly) {
      if (std::exchange(printed, true) && options.output != "name") std::puts("");
      printer->print(objects, session.clock.wallNow());
    }
  }
  if (options.watch && code == kDone) {
    code = co_await watchChanges(session, options, ids.front(), resourceVersion, *printer);
  } else if (found == 0 && code == kDone && !options.ignoreNotFound && options.output.empty()) {
    const bool anywhere = options.selection.allNamespaces || !ids.front().kind->namespaced();
    std::fprintf(stderr, "No resources found%s\n",
                 anywhere ? "" : (" in " + options.selection.ns + " namespace.").c_str());
  }
  co_return code;
}

}  // namespace

void printObject(const google::protobuf::Message& object, const std::string& format) {
  Printer::printObject(object, format);
}

void addGetCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<GetOptions>();
  auto* command = app.add_subcommand("get", "Show objects, one line each or whole");
  command->add_option("TYPE", options->selection.arguments, "TYPE [NAME...] or TYPE/NAME...")
      ->required();
  addSelectorFlags(*command, options->selection);
  command->add_option("-o,--output", options->output, "wide, json, yaml or name")
      ->check(CLI::IsMember({"wide", "json", "yaml", "name"}));
  command->add_option("--subresource", options->subresource, "status or scale, of named objects")
      ->check(CLI::IsMember({"status", "scale"}));
  command->add_flag("-w,--watch", options->watch, "Go on with each change");
  command->add_flag("--watch-only", options->watchOnly, "Only changes, nothing of the present");
  command->add_flag("--no-headers", options->noHeaders, "No header line");
  command->add_flag("--ignore-not-found", options->ignoreNotFound, "An absent object is no error");
  command->add_flag("--show-managed-fields", options->showManagedFields,
                    "Show metadata.managedFields in JSON and YAML");
  command->callback([&context, options] {
    if (options->watchOnly) options->watch = true;
    auto ids = resolveArguments(options->selection);
    if (!ids) {
      context.exitCode = fail(ids.status());
    } else if (options->watch && ids->size() > 1) {
      context.exitCode = failUsage("you may only specify a single resource when watching");
    } else if (!options->subresource.empty() && (options->watch || ids->front().name.empty())) {
      context.exitCode = failUsage("--subresource needs names, and goes without --watch");
    } else {
      context.exitCode =
          withSession(context, [&](Session& session) { return get(session, *options, *ids); });
    }
  });
}

}  // namespace podlab::cli
