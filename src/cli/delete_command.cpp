#include "cli/delete_command.hpp"

#include <cstdio>
#include <memory>

#include "cli/resources.hpp"
#include "cli/write_flags.hpp"
#include "common/sync.hpp"

namespace podlab::cli {
namespace {

struct DeleteFlags {
  Selection selection;
  DryRun dryRun;
  std::string output;
  std::string cascade = "background";
  bool namespaceGiven = false;
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
  const auto bad = [](std::string what) { return Status(Code::kBadRequest, std::move(what)); };
  const auto timeout = parseDuration(flags.timeoutText);
  if (!timeout) {
    return bad("--timeout: \"" + flags.timeoutText + "\" is not a duration such as 60s or 5m");
  }
  flags.timeout = *timeout;
  if (!flags.output.empty() && flags.output != "name")
    return bad("unexpected -o output mode: " + flags.output + ". We only support '-o name'");
  if (flags.cascade != "background" && flags.cascade != "foreground" && flags.cascade != "orphan")
    return bad("invalid cascade value (" + flags.cascade +
               "). Must be \"background\", \"foreground\", or \"orphan\"");
  if (flags.all && !flags.selection.labels.empty())
    return bad("setting 'all' parameter but found a non empty selector. ");
  if (flags.all && !flags.selection.fields.empty())
    return bad("cannot set --all and --field-selector at the same time");
  if (flags.now) {
    if (flags.grace != -1) return bad("--now and --grace-period cannot be specified together");
    flags.grace = 1;
  }
  // Data is lost only where it is meant.
  if (flags.grace == 0 && !flags.force) flags.grace = 1;
  if (!flags.force) return {};
  if (flags.grace < 0) flags.grace = 0;
  if (flags.grace == 0) return {};
  return bad("--force and --grace-period greater than 0 cannot be specified together");
}

/// Which objects are meant, and whether that was said clearly enough.
Result<std::vector<api::ResourceId>> targets(const DeleteFlags& flags) {
  const auto bad = [](const char* what) { return Status(Code::kBadRequest, what); };
  auto ids = resolve(flags.selection);
  if (!ids) return ids;
  if (ids->empty()) {
    return bad(flags.selection.files.empty()
                   ? "You must provide one or more resources by argument or filename, e.g. podlab "
                     "delete pod web"
                   : "no objects in the manifest");
  }
  const bool named = !ids->front().name.empty();
  if (named && flags.all) return bad("name cannot be provided when a selector is specified");
  if (!named && !flags.all && !flags.selection.selects())
    return bad("resource(s) were provided, but no name was specified");
  return ids;
}

Co<void> waitUntilGoneInto(Session& session, api::ResourceId id, std::string uid, Status& result) {
  result = co_await waitUntilGone(session, std::move(id), std::move(uid));
}

void report(const DeleteFlags& flags, const api::ResourceId& id) {
  if (flags.output == "name") {
    std::printf("%s\n", displayName(*id.kind, id.name).c_str());
  } else {
    std::printf("%s \"%s\" %s%s%s\n", displayKind(*id.kind).c_str(), id.name.c_str(),
                flags.grace == 0 ? "force deleted" : "deleted",
                id.ns.empty() ? "" : (" from " + id.ns + " namespace").c_str(),
                flags.dryRun.text());
  }
  std::fflush(stdout);
}

/// The object's uid, where the server could tell it.
Co<Result<std::string>> removeOne(Session& session, const DeleteFlags& flags, api::ResourceId id) {
  if (flags.dryRun.client()) {
    auto object = co_await session.api.get(id);
    if (!object) co_return object.status();
    co_return std::string();
  }
  api::DeleteOptions options;
  std::string policy = flags.cascade;
  policy.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(policy.front())));
  options.set_propagationpolicy(policy);
  if (flags.grace >= 0) options.set_graceperiodseconds(flags.grace);
  if (flags.dryRun.any()) options.add_dryrun("All");
  auto removed = co_await session.api.remove(std::move(id), options);
  if (!removed) co_return removed.status();
  co_return api::meta(**removed).uid();
}

Co<int> remove(Session& session, const DeleteFlags& flags, std::vector<api::ResourceId> ids) {
  if (flags.grace == 0) {
    printWarnings(
        {"Immediate deletion does not wait for confirmation that the running resource has been "
         "terminated. The resource may continue to run on the cluster indefinitely."});
  }
  auto named = co_await nameObjects(session, flags.selection, std::move(ids));
  if (!named) co_return failRequest(named.status());
  if (named->empty()) std::puts("No resources found");
  bool warned = !flags.namespaceGiven;
  int code = kDone;
  std::vector<std::pair<api::ResourceId, std::string>> leaving;
  for (const auto& id : *named) {
    if (!id.kind->namespaced() && !std::exchange(warned, true))
      printWarnings({"deleting cluster-scoped resources, not scoped to the provided namespace"});
    auto uid = co_await removeOne(session, flags, id);
    if (!uid) {
      if (!(flags.ignoreNotFound && uid.status().is(Code::kNotFound)))
        code = failRequest(uid.status());
      continue;
    }
    report(flags, id);
    leaving.emplace_back(id, *uid);
  }
  const MonoTime deadline = session.clock.now() + flags.timeout;
  for (const auto& [id, uid] : leaving) {
    if (!flags.wait || flags.dryRun.any()) break;
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

}  // namespace

void addDeleteCommand(CLI::App& app, Context& context) {
  auto flags = std::make_shared<DeleteFlags>();
  auto* command = app.add_subcommand("delete", "Delete objects");
  command->add_option("TYPE", flags->selection.arguments, "TYPE NAME... or TYPE/NAME...");
  addFileFlags(*command, flags->selection);
  addSelectorFlags(*command, flags->selection);
  addDryRunFlag(*command, flags->dryRun);
  command->add_option("-o,--output", flags->output, "name: only the names of what is deleted");
  command->add_flag("--all", flags->all, "All objects of the type");
  command
      ->add_option("--cascade", flags->cascade,
                   "What becomes of the objects' dependents: background, foreground or orphan")
      ->expected(0, 1)
      ->capture_default_str();
  command->add_flag("--force", flags->force, "At once, without grace");
  command->add_flag("--ignore-not-found", flags->ignoreNotFound, "An absent object is no error");
  command->add_option("--grace-period", flags->grace,
                      "Seconds that a pod has to end; 0 counts as 1 without --force");
  command->add_flag("--now", flags->now, "As --grace-period=1");
  command->add_flag("--wait,!--no-wait", flags->wait,
                    "Wait until they are gone (--wait=false: do not)");
  command->add_option("--timeout", flags->timeoutText, "How long to wait, 0s: as long as it takes")
      ->capture_default_str();
  command->callback([&context, flags, command] {
    flags->namespaceGiven = command->count("--namespace") > 0;
    // With --all, an absent object is one that somebody else has deleted meanwhile.
    if (flags->all || flags->selection.selects()) flags->ignoreNotFound = true;
    if (Status status = complete(*flags); !status.ok()) {
      context.exitCode = failUsage(status.message());
      return;
    }
    auto ids = targets(*flags);
    context.exitCode =
        ids ? withSession(context, [&](Session& session) { return remove(session, *flags, *ids); })
            : fail(ids.status());
  });
}

}  // namespace podlab::cli
