#include "cli/write_commands.hpp"

#include <cstdio>

#include "api/codec.hpp"
#include "cli/get_command.hpp"
#include "cli/resources.hpp"
#include "cli/three_way_merge.hpp"
#include "common/sync.hpp"

namespace podlab::cli {
namespace {

constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

// Of --dry-run, beside "server".
constexpr const char* kNone = "none";
constexpr const char* kClient = "client";

struct WriteFlags {
  std::vector<std::string> files;
  std::string ns = "default";
  std::string dryRun = kNone;
  std::string output;
};

api::WriteOptions writeOptions(const WriteFlags& flags) {
  api::WriteOptions options;
  options.dryRun = flags.dryRun != kNone;
  options.fieldManager = "podlab";
  return options;
}

void report(const WriteFlags& flags, const api::Kind& kind, const api::ObjectPtr& object,
            const char* what) {
  if (flags.output == "json" || flags.output == "yaml") {
    printObject(*object, flags.output);
  } else if (flags.output == "name") {
    std::printf("%s\n", displayName(kind, api::meta(*object).name()).c_str());
  } else {
    std::printf("%s %s%s\n", displayName(kind, api::meta(*object).name()).c_str(), what,
                flags.dryRun == kNone     ? ""
                : flags.dryRun == kClient ? " (dry run)"
                                          : " (server dry run)");
  }
}

int failAt(const ManifestObject& manifest, const char* doing, const Status& status) {
  return failRequest(status, std::string("error when ") + doing + " \"" + manifest.source + "\": ");
}

Co<int> create(Session& session, const WriteFlags& flags, std::vector<ManifestObject> manifests) {
  int code = kDone;
  for (const auto& manifest : manifests) {
    if (flags.dryRun == kClient) {
      report(flags, *manifest.kind, manifest.object, "created");
      continue;
    }
    api::ResourceId id = idOf(manifest);
    id.name.clear();
    const auto options = writeOptions(flags);
    auto result = co_await session.api.create(id, manifest.object, options);
    if (!result) {
      code = failAt(manifest, "creating", result.status());
      continue;
    }
    printWarnings(result->warnings);
    report(flags, *manifest.kind, result->object, "created");
  }
  co_return code;
}

/// As `kubectl apply` without a server that merges: get, merge by the annotation of the last apply,
/// update; again on a conflict.
Co<int> applyOne(Session& session, const WriteFlags& flags, const ManifestObject& manifest) {
  const api::TypeMeta type{manifest.kind->apiVersion(), std::string(manifest.kind->kind)};
  api::EncodeOptions encode;
  encode.type = type;
  const std::string next = api::toJson(*manifest.object, encode);
  (*api::mutableMeta(*manifest.object).mutable_annotations())[kLastApplied] = next + "\n";
  const std::string annotated = api::toJson(*manifest.object, encode);
  const auto options = writeOptions(flags);
  const api::ResourceId id = idOf(manifest);

  constexpr int kTries = 5;
  for (int attempt = 1;; ++attempt) {
    auto live = co_await session.api.get(id);
    if (!live && !live.status().is(Code::kNotFound))
      co_return failAt(manifest, "retrieving", live.status());
    if (flags.dryRun == kClient) {
      report(flags, *manifest.kind, manifest.object, live ? "configured" : "created");
      co_return kDone;
    }
    if (!live) {
      api::ResourceId collection = id;
      collection.name.clear();
      auto created = co_await session.api.create(collection, manifest.object, options);
      if (created) {
        printWarnings(created->warnings);
        report(flags, *manifest.kind, created->object, "created");
        co_return kDone;
      }
      if (!created.status().is(Code::kAlreadyExists) || attempt == kTries)
        co_return failAt(manifest, "creating", created.status());
      continue;
    }
    const auto& annotations = api::meta(**live).annotations();
    const auto last = annotations.find(kLastApplied);
    auto merged = threeWayMerge(last == annotations.end() ? "" : last->second, annotated,
                                api::toJson(**live, encode));
    if (!merged) co_return failAt(manifest, "applying", merged.status());
    auto object = manifest.kind->make();
    if (Status status = api::fromJson(*merged, *object); !status.ok())
      co_return failAt(manifest, "applying", status);
    auto updated = co_await session.api.update(id, object, options);
    if (updated) {
      printWarnings(updated->warnings);
      const bool same =
          api::meta(*updated->object).resourceversion() == api::meta(**live).resourceversion();
      report(flags, *manifest.kind, updated->object, same ? "unchanged" : "configured");
      co_return kDone;
    }
    if (!updated.status().is(Code::kConflict) || attempt == kTries)
      co_return failAt(manifest, "applying", updated.status());
  }
}

Co<int> apply(Session& session, const WriteFlags& flags, std::vector<ManifestObject> manifests) {
  int code = kDone;
  for (const auto& manifest : manifests) {
    if (const int one = co_await applyOne(session, flags, manifest); one != kDone) code = one;
  }
  co_return code;
}

struct DeleteFlags {
  Selection selection;
  std::vector<std::string> files;
  bool all = false;
  bool force = false;
  bool ignoreNotFound = false;
  bool wait = true;
  bool now = false;
  int grace = -1;  ///< seconds; negative: the object's own
  std::string timeoutText = "0s";
  Duration timeout{};  ///< 0: as long as it takes
};

/// What the flags mean together, as in kubectl's delete; an error for what contradicts.
Status complete(DeleteFlags& flags) {
  const auto timeout = parseDuration(flags.timeoutText);
  if (!timeout) {
    return Status(Code::kInvalid,
                  "--timeout: \"" + flags.timeoutText + "\" is not a duration such as 60s or 5m");
  }
  flags.timeout = *timeout;
  if (flags.now) {
    if (flags.grace != -1)
      return Status(Code::kInvalid, "--now and --grace-period cannot be specified together");
    flags.grace = 1;
  }
  // Data is lost only where it is meant.
  if (flags.grace == 0 && !flags.force) flags.grace = 1;
  if (!flags.force) return {};
  if (flags.grace < 0) flags.grace = 0;
  if (flags.grace == 0) return {};
  return Status(Code::kInvalid,
                "--force and --grace-period greater than 0 cannot be specified together");
}

/// Until the object is gone, or another one has its name.
Co<Status> waitUntilGone(Session& session, api::ResourceId id, std::string uid) {
  for (;;) {
    auto object = co_await session.api.get(id);
    if (!object) co_return object.status().is(Code::kNotFound) ? Status() : object.status();
    if (api::meta(**object).uid() != uid) co_return Status();
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
      if (event->type == api::EventType::kDeleted) co_return Status();
    }
  }
}

Co<void> waitUntilGoneInto(Session& session, api::ResourceId id, std::string uid, Status& result) {
  result = co_await waitUntilGone(session, std::move(id), std::move(uid));
}

Co<int> remove(Session& session, const DeleteFlags& flags, std::vector<api::ResourceId> ids) {
  if (flags.force) {
    printWarnings(
        {"Immediate deletion does not wait for confirmation that the running resource has been "
         "terminated. The resource may continue to run on the cluster indefinitely."});
  }
  auto named = co_await nameObjects(session, flags.selection, std::move(ids));
  if (!named) co_return failRequest(named.status());
  if (named->empty()) std::fputs("No resources found\n", stderr);
  int code = kDone;
  std::vector<std::pair<api::ResourceId, std::string>> leaving;
  for (const auto& id : *named) {
    api::DeleteOptions options;
    options.set_propagationpolicy("Background");
    if (flags.grace >= 0) options.set_graceperiodseconds(flags.grace);
    auto removed = co_await session.api.remove(id, options);
    if (!removed) {
      if (!(flags.ignoreNotFound && removed.status().is(Code::kNotFound)))
        code = failRequest(removed.status());
      continue;
    }
    std::printf("%s \"%s\" %sdeleted\n", std::string(id.kind->singular).c_str(), id.name.c_str(),
                flags.force ? "force " : "");
    std::fflush(stdout);
    leaving.emplace_back(id, api::meta(**removed).uid());
  }
  const MonoTime deadline = session.clock.now() + flags.timeout;
  for (const auto& [id, uid] : leaving) {
    if (!flags.wait) break;
    Status status;
    if (flags.timeout == Duration::zero()) {
      status = co_await waitUntilGone(session, id, uid);
    } else if (!co_await withDeadline(session.clock, deadline,
                                      waitUntilGoneInto(session, id, uid, status))) {
      // Nor will the others be gone in time.
      co_return fail(conditionTimeout(id));
    }
    if (!status.ok()) code = failRequest(status);
  }
  co_return code;
}

void addFileFlags(CLI::App& command, WriteFlags& flags) {
  command.add_option("-f,--filename", flags.files, "Manifest, folder of manifests, or - for stdin")
      ->required();
  addNamespaceFlag(command, flags.ns);
  command
      .add_flag("--dry-run{server}", flags.dryRun,
                "Store nothing: \"server\" checks as if it did, \"client\" only shows the objects")
      ->check(CLI::IsMember({kNone, "server", kClient}));
  command.add_option("-o,--output", flags.output, "json, yaml or name")
      ->check(CLI::IsMember({"json", "yaml", "name"}));
}

using ManifestVerb = Co<int> (*)(Session&, const WriteFlags&, std::vector<ManifestObject>);

void addManifestVerb(CLI::App& app, Context& context, const char* name, const char* help,
                     ManifestVerb verb) {
  auto flags = std::make_shared<WriteFlags>();
  auto* command = app.add_subcommand(name, help);
  addFileFlags(*command, *flags);
  command->callback([&context, flags, verb] {
    auto manifests = readManifests(flags->files, flags->ns);
    context.exitCode =
        manifests ? withSession(context,
                                [&](Session& session) { return verb(session, *flags, *manifests); })
                  : fail(manifests.status());
  });
}

}  // namespace

void addWriteCommands(CLI::App& app, Context& context) {
  addManifestVerb(app, context, "apply",
                  "Create or change objects so that they are as the manifests say", apply);
  addManifestVerb(app, context, "create", "Create the objects of manifests", create);

  auto flags = std::make_shared<DeleteFlags>();
  auto* command = app.add_subcommand("delete", "Delete objects");
  command->add_option("TYPE", flags->selection.arguments, "TYPE NAME... or TYPE/NAME...");
  command->add_option("-f,--filename", flags->files, "The objects of this manifest");
  addSelectorFlags(*command, flags->selection);
  command->add_flag("--all", flags->all, "All objects of the type");
  command->add_flag("--force", flags->force, "At once, without grace");
  command->add_flag("--ignore-not-found", flags->ignoreNotFound, "An absent object is no error");
  command->add_option("--grace-period", flags->grace,
                      "Seconds that a pod has to end; 0 counts as 1 without --force");
  command->add_flag("--now", flags->now, "As --grace-period=1");
  command->add_flag("--wait,!--no-wait", flags->wait,
                    "Wait until they are gone (--wait=false: do not)");
  command->add_option("--timeout", flags->timeoutText, "How long to wait, 0s: as long as it takes")
      ->capture_default_str();
  command->callback([&context, flags] {
    if (Status status = complete(*flags); !status.ok()) {
      context.exitCode = failUsage(status.message());
      return;
    }
    std::vector<api::ResourceId> ids;
    if (!flags->files.empty()) {
      auto manifests = readManifests(flags->files, flags->selection.ns);
      if (!manifests) {
        context.exitCode = fail(manifests.status());
        return;
      }
      for (const auto& manifest : *manifests) ids.push_back(idOf(manifest));
    } else {
      auto resolved = resolveArguments(flags->selection);
      if (!resolved) {
        context.exitCode = fail(resolved.status());
        return;
      }
      ids = std::move(*resolved);
      if (ids.front().name.empty() && !flags->all && flags->selection.labels.empty() &&
          flags->selection.fields.empty()) {
        context.exitCode = failUsage(
            "resource(s) were provided, but no name was specified; name them, or give -l or --all");
        return;
      }
    }
    context.exitCode =
        withSession(context, [&](Session& session) { return remove(session, *flags, ids); });
  });
}

}  // namespace podlab::cli
