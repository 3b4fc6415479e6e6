#include "cli/write_commands.hpp"

#include <cstdio>
#include <memory>
#include <set>

#include <nlohmann/json.hpp>

#include "api/codec.hpp"
#include "api/selectors.hpp"
#include "cli/create_generators.hpp"
#include "cli/manifests.hpp"
#include "cli/printers.hpp"
#include "cli/three_way_merge.hpp"
#include "cli/write_flags.hpp"

namespace podlab::cli {
namespace {

constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

struct WriteFlags : CreateFlags {
  Selection selection;
  std::string validate = "strict";
  bool serverSide = false;  // apply, from here on
  bool forceConflicts = false;
  bool prune = false;
};

/// What a verb has of one command line.
struct Write {
  Session& session;
  const WriteFlags& flags;
  ObjectPrinter& printer;
  std::vector<Found> done;  ///< what is to be printed together
};

api::WriteOptions writeOptions(const WriteFlags& flags) {
  api::WriteOptions options;
  options.dryRun = flags.dryRun.any();
  options.fieldManager = flags.manager;
  options.force = flags.forceConflicts;
  return options;
}

Status report(Write& write, const Found& found, const char* what) {
  if (!write.printer.isHuman()) return write.printer.print(found);
  std::printf("%s %s%s\n", displayName(*found.kind, api::meta(*found.object).name()).c_str(), what,
              write.flags.dryRun.text());
  return {};
}

int failAt(const ManifestObject& manifest, const char* doing, const Status& status) {
  if (manifest.source.empty()) return failRequest(status);
  return failRequest(status, std::string("error when ") + doing + " \"" + manifest.source + "\": ");
}

/// The manifest as the annotation of apply keeps it.
std::string appliedText(const ManifestObject& manifest) {
  auto object = nlohmann::json::parse(manifest.json, nullptr, false);
  auto& annotations = object["metadata"]["annotations"];
  if (!annotations.is_object()) annotations = nlohmann::json::object();
  annotations.erase(kLastApplied);
  return object.dump() + "\n";
}

void annotate(const ManifestObject& manifest) {
  (*api::mutableMeta(*manifest.object).mutable_annotations())[kLastApplied] = appliedText(manifest);
}

Co<int> createOne(Write& write, const ManifestObject& manifest) {
  if (write.flags.saveConfig) annotate(manifest);
  Found found{manifest.kind, manifest.object};
  if (!write.flags.dryRun.client()) {
    api::ResourceId id = idOf(manifest);
    id.name.clear();
    const auto options = writeOptions(write.flags);
    auto result = co_await write.session.api.create(id, manifest.object, options);
    if (!result) co_return failAt(manifest, "creating", result.status());
    printWarnings(result->warnings);
    found.object = result->object;
  }
  Status status = report(write, found, "created");
  co_return status ? kDone : fail(status);
}

void tellUnannotated(const api::ResourceId& id) {
  printWarnings({"resource " + std::string(id.kind->plural) + "/" + id.name + " is missing the " +
                 kLastApplied +
                 " annotation which is required by podlab apply. podlab apply should only be used "
                 "on resources created declaratively by either podlab create --save-config or "
                 "podlab apply. The missing annotation will be patched automatically."});
}

/// As `kubectl apply` without a server that merges: get, merge by the annotation of the last apply,
/// update; again on a conflict.
Co<Result<Found>> applyHere(Write& write, const ManifestObject& manifest, const char*& what,
                            const char*& doing) {
  const api::Kind& kind = *manifest.kind;
  annotate(manifest);
  auto annotated = nlohmann::json::parse(manifest.json, nullptr, false);
  annotated["metadata"]["annotations"][kLastApplied] = appliedText(manifest);
  const auto options = writeOptions(write.flags);
  const api::ResourceId id = idOf(manifest);
  api::EncodeOptions encode;
  encode.type = {kind.apiVersion(), std::string(kind.kind)};

  constexpr int kTries = 5;
  for (int attempt = 1;; ++attempt) {
    doing = "retrieving";
    auto live = co_await write.session.api.get(id);
    if (!live && !live.status().is(Code::kNotFound)) co_return live.status();
    if (!live) {
      doing = "creating";
      what = "created";
      if (write.flags.dryRun.client()) co_return Found{&kind, manifest.object};
      api::ResourceId collection = id;
      collection.name.clear();
      auto created = co_await write.session.api.create(collection, manifest.object, options);
      if (created) {
        printWarnings(created->warnings);
        co_return Found{&kind, created->object};
      }
      if (!created.status().is(Code::kAlreadyExists) || attempt == kTries)
        co_return created.status();
      continue;
    }
    doing = "applying patch";
    const auto& annotations = api::meta(**live).annotations();
    const auto last = annotations.find(kLastApplied);
    if (last == annotations.end() && attempt == 1) tellUnannotated(id);
    auto merged = threeWayMerge(last == annotations.end() ? "" : last->second, annotated.dump(),
                                api::toJson(**live, encode), kind.prototype->GetDescriptor());
    if (!merged) co_return merged.status();
    auto object = kind.make();
    if (Status status = api::fromJson(*merged, *object); !status.ok()) co_return status;
    const auto wanted = api::toJson(*object, encode);
    if (write.flags.dryRun.client()) {
      what = wanted == api::toJson(**live, encode) ? "unchanged" : "configured";
      co_return Found{&kind, object};
    }
    auto updated = co_await write.session.api.update(id, object, options);
    if (updated) {
      printWarnings(updated->warnings);
      const bool same = write.flags.dryRun.any() ? wanted == api::toJson(**live, encode)
                                                 : api::meta(*updated->object).resourceversion() ==
                                                       api::meta(**live).resourceversion();
      what = same ? "unchanged" : "configured";
      co_return Found{&kind, updated->object};
    }
    if (!updated.status().is(Code::kConflict) || attempt == kTries) co_return updated.status();
  }
}

Co<int> applyOne(Write& write, const ManifestObject& manifest) {
  const char* what = "serverside-applied";
  const char* doing = "patching";
  Result<Found> found = Status(Code::kInternal, "not applied");
  if (write.flags.serverSide) {
    const api::ResourceId id = idOf(manifest);
    const auto options = writeOptions(write.flags);
    auto result =
        co_await write.session.api.patch(id, api::PatchType::kApply, manifest.json, options);
    if (result) {
      printWarnings(result->warnings);
      found = Found{manifest.kind, result->object};
    } else {
      found = result.status();
    }
    if (!found && found.status().is(Code::kConflict)) {
      co_return fail(Status(Code::kConflict,
                            found.status().message() +
                                "\nTake the fields over with --force-conflicts, leave them out of "
                                "the manifest, or give them the values that they have."));
    }
  } else {
    found = co_await applyHere(write, manifest, what, doing);
  }
  if (!found) co_return failAt(manifest, doing, found.status());
  if (!write.printer.isHuman() && !write.printer.isName()) {
    write.done.push_back(*found);
    co_return kDone;
  }
  Status status = report(write, *found, what);
  co_return status ? kDone : fail(status);
}

using OneVerb = Co<int> (*)(Write&, const ManifestObject&);

Co<int> writeAll(Session& session, const WriteFlags& flags, ObjectPrinter printer, OneVerb verb,
                 std::vector<ManifestObject> manifests) {
  Write write{session, flags, printer, {}};
  int code = kDone;
  for (const auto& manifest : manifests) {
    printWarnings(flags.validate == "warn" ? manifest.problems : std::vector<std::string>());
    if (const int one = co_await verb(write, manifest); one != kDone) code = one;
  }
  if (write.done.empty()) co_return code;
  Status status =
      write.done.size() == 1 ? printer.print(write.done.front()) : printer.printList(write.done);
  co_return status ? code : fail(status);
}

/// The manifests of the command line that its selector chooses.
Result<std::vector<ManifestObject>> chosen(const WriteFlags& flags, const std::string& verb) {
  const auto bad = [](std::string what) { return Status(Code::kBadRequest, std::move(what)); };
  if (flags.selection.files.empty() && flags.selection.kustomize.empty())
    return bad("must specify one of -f and -k");
  if (flags.prune) {
    return bad(
        "--prune: podlab deletes only what it is told to; use podlab delete -l, or kubectl "
        "apply --prune");
  }
  if (flags.serverSide && flags.dryRun.client())
    return bad(
        "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server "
        "instead?)");
  if (flags.forceConflicts && !flags.serverSide)
    return bad("--force-conflicts only works with --server-side");
  const std::set<std::string> warn{"warn"}, ignore{"ignore", "false"};
  auto manifests =
      readManifests(flags.selection, warn.contains(flags.validate)     ? Validation::kWarn
                                     : ignore.contains(flags.validate) ? Validation::kIgnore
                                                                       : Validation::kStrict);
  if (!manifests) return manifests;
  auto selector = api::LabelSelector::parse(flags.selection.labels);
  if (!selector) return selector.status();
  std::erase_if(*manifests, [&](const ManifestObject& manifest) {
    return !selector->matches(api::meta(*manifest.object).labels());
  });
  if (manifests->empty()) return bad("no objects passed to " + verb);
  return manifests;
}

CLI::App* addManifestVerb(CLI::App& app, Context& context, const std::string& name,
                          const char* help, OneVerb verb,
                          const std::shared_ptr<WriteFlags>& flags) {
  auto* command = app.add_subcommand(name, help);
  addFileFlags(*command, flags->selection);
  addCreateFlags(*command, *flags);
  command->add_option("-l,--selector", flags->selection.labels,
                      "Only the objects of the manifests with these labels");
  command
      ->add_option("--validate", flags->validate,
                   "Unknown and duplicate fields are errors (strict), warnings (warn) or nothing "
                   "(ignore)")
      ->expected(0, 1)
      ->check(CLI::IsMember({"strict", "true", "warn", "ignore", "false"}));
  command->callback([&context, flags, verb, name, command] {
    if (!command->get_subcommands().empty()) return;
    flags->selection.ns = flags->ns;
    auto printer = flags->output.printer();
    auto manifests =
        printer ? chosen(*flags, name) : Result<std::vector<ManifestObject>>(printer.status());
    context.exitCode = manifests
                           ? withSession(context,
                                         [&](Session& session) {
                                           return writeAll(session, *flags, std::move(*printer),
                                                           verb, std::move(*manifests));
                                         })
                           : fail(manifests.status());
  });
  return command;
}

}  // namespace

void addDryRunFlag(CLI::App& command, DryRun& dryRun) {
  command
      .add_flag("--dry-run{server}", dryRun.value,
                "Store nothing: \"server\" checks as if it did, \"client\" only shows the objects")
      ->check(CLI::IsMember({"none", "server", "client"}));
}

void addCreateFlags(CLI::App& command, CreateFlags& flags) {
  addNamespaceFlag(command, flags.ns);
  addDryRunFlag(command, flags.dryRun);
  addOutputFlags(command, flags.output);
  command.add_option("--field-manager", flags.manager, "Who is to own what is written")
      ->capture_default_str();
  command.add_flag("--save-config", flags.saveConfig,
                   "Keep what is created in an annotation, for a later apply");
}

int createObject(const Context& context, const CreateFlags& flags, const std::string& json) {
  auto printer = flags.output.printer();
  if (!printer) return fail(printer.status());
  auto manifests = parseManifests(json, flags.ns);
  if (!manifests) return fail(manifests.status());
  WriteFlags write;
  static_cast<CreateFlags&>(write) = flags;
  return withSession(context, [&](Session& session) {
    return writeAll(session, write, std::move(*printer), createOne, std::move(*manifests));
  });
}

void addWriteCommands(CLI::App& app, Context& context) {
  auto apply = std::make_shared<WriteFlags>();
  auto* applied = addManifestVerb(app, context, "apply",
                                  "Create or change objects so that they are as the manifests say",
                                  applyOne, apply);
  applied->add_flag("--server-side", apply->serverSide, "Let the server merge, and keep accounts");
  applied->add_flag("--force-conflicts", apply->forceConflicts,
                    "With --server-side: take over fields that others own");
  applied->add_flag("--prune", apply->prune)->group("");

  auto create = std::make_shared<WriteFlags>();
  auto* created = addManifestVerb(app, context, "create",
                                  "Create objects, by manifests or by flags", createOne, create);
  addGenerators(*created, context);
}

}  // namespace podlab::cli
