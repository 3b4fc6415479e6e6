#include "cli/drain_command.hpp"

#include <cstdio>
#include <memory>

#include "apps_v1.pb.h"
#include "policy_v1.pb.h"

#include "api/kinds.hpp"
#include "api/owners.hpp"
#include "cli/describe_layout.hpp"
#include "cli/drain_pods.hpp"
#include "cli/resources.hpp"
#include "cli/write_flags.hpp"
#include "common/sync.hpp"

namespace podlab::cli {
namespace {

using Pods = std::vector<std::shared_ptr<const corev1::Pod>>;

/// kubectl's, after a refusal by a disruption budget.
constexpr Duration kEvictionRetry = std::chrono::seconds(5);

struct DrainFlags {
  std::vector<std::string> nodes;
  std::string selector;
  DryRun dryRun;
  DrainRules rules;
  std::string podSelector;
  bool disableEviction = false;
  int grace = -1;  ///< seconds; negative: the pods' own
  std::string timeoutText = "0s";
  Duration timeout{};  ///< 0: as long as it takes
};

void tell(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

/// The nodes that are meant.
Co<Result<std::vector<api::ResourceId>>> chooseNodes(Session& session, const DrainFlags& flags) {
  const api::Kind& kind = api::kindFor<corev1::Node>();
  std::vector<api::ResourceId> ids;
  for (const auto& argument : flags.nodes) {
    auto id = resolveOne(argument, "", kind);
    if (!id) co_return id.status();
    auto found = co_await session.api.get(*id);
    if (!found) co_return found.status();
    ids.push_back(std::move(*id));
  }
  if (flags.selector.empty()) co_return ids;
  api::ListOptions options;
  options.labelSelector = flags.selector;
  const api::ResourceId all{&kind, "", "", ""};
  auto listed = co_await session.api.list(all, std::move(options));
  if (!listed) co_return listed.status();
  for (const auto& node : listed->items) ids.push_back({&kind, "", api::meta(*node).name(), ""});
  co_return ids;
}

/// Makes the node schedulable or not, and tells of it.
Co<Status> setSchedulable(Session& session, const DrainFlags& flags, api::ResourceId id,
                          bool schedulable) {
  auto found = co_await session.api.get(id);
  if (!found) co_return found.status();
  const std::string done = schedulable ? "uncordoned" : "cordoned";
  const bool is = !api::as<corev1::Node>(*found).spec().unschedulable();
  if (is == schedulable) {
    tell("node/" + id.name + " already " + done + flags.dryRun.text());
    co_return Status();
  }
  if (!flags.dryRun.client()) {
    api::WriteOptions options;
    options.dryRun = flags.dryRun.any();
    options.fieldManager = "podlab";
    std::string body =
        std::string(R"({"spec":{"unschedulable":)") + (schedulable ? "null" : "true") + "}}";
    auto changed = co_await session.api.patch(id, api::PatchType::kStrategicMerge, std::move(body),
                                              std::move(options));
    if (!changed) co_return changed.status();
  }
  tell("node/" + id.name + " " + done + flags.dryRun.text());
  co_return Status();
}

Co<Result<DrainPlan>> planFor(Session& session, const DrainFlags& flags, std::string node) {
  api::ListOptions options;
  options.fieldSelector = "spec.nodeName=" + node;
  options.labelSelector = flags.podSelector;
  const api::ResourceId all{&api::kindFor<corev1::Pod>(), "", "", ""};
  auto listed = co_await session.api.list(all, std::move(options));
  if (!listed) co_return listed.status();
  DrainPlan plan;
  for (const auto& item : listed->items) {
    auto pod = api::share<corev1::Pod>(item);
    Status daemonSet;
    if (isOfDaemonSet(*pod)) {
      const auto* owner = api::controllerOf(pod->metadata());
      const api::ResourceId id{&api::kindFor<appsv1::DaemonSet>(), pod->metadata().namespace_(),
                               owner->name(), ""};
      daemonSet = (co_await session.api.get(id)).status();
    }
    const auto verdict = judgePod(*pod, flags.rules, daemonSet, session.clock.wallNow());
    plan.add(std::move(pod), verdict);
  }
  co_return plan;
}

api::ResourceId idOfPod(const corev1::Pod& pod, std::string subresource = "") {
  return {&api::kindFor<corev1::Pod>(), pod.metadata().namespace_(), pod.metadata().name(),
          std::move(subresource)};
}

/// Asks for the pod's end once.
Co<Status> askToEnd(Session& session, const DrainFlags& flags, const corev1::Pod& pod) {
  metav1::DeleteOptions options;
  if (flags.grace >= 0) options.set_graceperiodseconds(flags.grace);
  if (flags.dryRun.any()) options.add_dryrun("All");
  if (flags.disableEviction)
    co_return (co_await session.api.remove(idOfPod(pod), std::move(options))).status();
  auto eviction = std::make_shared<policyv1::Eviction>();
  eviction->mutable_metadata()->set_name(pod.metadata().name());
  eviction->mutable_metadata()->set_namespace_(pod.metadata().namespace_());
  *eviction->mutable_deleteoptions() = options;
  api::WriteOptions write;
  write.dryRun = flags.dryRun.any();
  auto made =
      co_await session.api.create(idOfPod(pod, "eviction"), std::move(eviction), std::move(write));
  co_return made.status();
}

/// Ends one pod, and waits until it has gone.
Co<Status> endPod(Session& session, const DrainFlags& flags,
                  std::shared_ptr<const corev1::Pod> pod) {
  const std::string name = pod->metadata().name();
  const std::string ns = pod->metadata().namespace_();
  if (!flags.disableEviction) tell("evicting pod " + ns + "/" + name + flags.dryRun.text());
  for (;;) {
    const Status asked = co_await askToEnd(session, flags, *pod);
    if (asked.is(Code::kNotFound)) co_return Status();
    if (asked.ok()) break;
    const std::string what = "error when " +
                             std::string(flags.disableEviction ? "deleting" : "evicting") +
                             " pods/\"" + name + "\" -n \"" + ns + "\"";
    if (!asked.is(Code::kTooManyRequests))
      co_return Status(asked.code(), what + ": " + asked.message());
    std::fprintf(stderr, "%s (will retry after 5s): %s\n", what.c_str(), asked.message().c_str());
    co_await session.clock.sleepFor(kEvictionRetry);
    if (!flags.disableEviction) tell("evicting pod " + ns + "/" + name);
  }
  if (flags.dryRun.any()) co_return Status();
  const Status gone = co_await waitUntilGone(session, idOfPod(*pod), pod->metadata().uid());
  if (!gone.ok()) {
    co_return Status(gone.code(), "error when waiting for pod \"" + name + "\" in namespace \"" +
                                      ns + "\" to terminate: " + gone.message());
  }
  tell("pod/" + name + (flags.disableEviction ? " deleted" : " evicted"));
  co_return Status();
}

/// What came of all pods of a node.
struct Endings {
  std::size_t left = 0;
  std::vector<std::string> failures;
  WaitQueue changed;
};

Co<void> endInto(Session& session, const DrainFlags& flags, std::shared_ptr<const corev1::Pod> pod,
                 std::shared_ptr<Endings> endings) {
  const Status ended = co_await endPod(session, flags, std::move(pod));
  if (!ended.ok()) endings->failures.push_back(ended.message());
  --endings->left;
  endings->changed.notifyAll();
}

/// Ends them all at a time; what has failed.
Co<std::vector<std::string>> endAll(Session& session, const DrainFlags& flags, Pods pods) {
  TaskGroup tasks(session.io.get_executor());
  auto endings = std::make_shared<Endings>();
  endings->left = pods.size();
  for (const auto& pod : pods) tasks.spawn("drain", endInto(session, flags, pod, endings));
  const MonoTime deadline = session.clock.now() + flags.timeout;
  while (endings->left > 0) {
    if (flags.timeout == Duration::zero()) {
      co_await endings->changed.wait();
    } else if (!co_await endings->changed.waitUntil(session.clock, deadline)) {
      endings->failures.push_back("drain did not complete within " + formatDuration(flags.timeout));
      break;
    }
  }
  co_await tasks.cancelAndJoin();
  co_return std::move(endings->failures);
}

/// As kubectl writes several errors in one.
std::string inOne(const std::vector<std::string>& errors) {
  const std::string text = joined(errors, ", ");
  return errors.size() > 1 ? "[" + text + "]" : text;
}

/// Why the node is not drained; nothing when it is.
Co<std::vector<std::string>> drainOne(Session& session, const DrainFlags& flags, std::string node) {
  auto plan = co_await planFor(session, flags, node);
  if (!plan) co_return std::vector<std::string>{plan.status().message()};
  if (auto problems = plan->problems(); !problems.empty()) co_return problems;
  if (const std::string text = plan->warning(); !text.empty()) printWarnings({text});
  if (flags.dryRun.client()) {
    for (const auto& pod : plan->pods)
      tell("evicting pod " + pod->metadata().namespace_() + "/" + pod->metadata().name() +
           " (dry run)");
    co_return std::vector<std::string>();
  }
  auto errors = co_await endAll(session, flags, plan->pods);
  if (errors.empty()) co_return errors;
  auto rest = co_await planFor(session, flags, node);
  if (rest && !rest->pods.empty()) {
    std::fprintf(stderr, "There are pending pods in node \"%s\" when an error occurred: %s\n",
                 node.c_str(), inOne(errors).c_str());
    for (const auto& pod : rest->pods)
      std::fprintf(stderr, "pod/%s\n", pod->metadata().name().c_str());
  }
  co_return errors;
}

Co<int> drain(Session& session, const DrainFlags& flags) {
  auto nodes = co_await chooseNodes(session, flags);
  if (!nodes) co_return failRequest(nodes.status());
  for (const auto& id : *nodes) {
    if (Status done = co_await setSchedulable(session, flags, id, false); !done.ok())
      co_return failRequest(done);
  }
  std::vector<std::pair<std::string, std::vector<std::string>>> remaining;
  for (const auto& id : *nodes) {
    auto errors = co_await drainOne(session, flags, id.name);
    if (errors.empty()) {
      tell("node/" + id.name + " drained" + flags.dryRun.text());
      continue;
    }
    std::fprintf(stderr,
                 "error: unable to drain node \"%s\" due to error: %s, continuing command...\n",
                 id.name.c_str(), inOne(errors).c_str());
    remaining.emplace_back(id.name, std::move(errors));
  }
  if (remaining.empty()) co_return kDone;
  std::fputs("There are pending nodes to be drained:\n", stderr);
  for (const auto& [name, errors] : remaining) std::fprintf(stderr, " %s\n", name.c_str());
  for (const auto& [name, errors] : remaining) {
    if (remaining.size() > 1) {
      std::fprintf(stderr, "error: %s\n", inOne(errors).c_str());
    } else {
      for (const auto& error : errors) std::fprintf(stderr, "error: %s\n", error.c_str());
    }
  }
  co_return kFailed;
}

Co<int> setAll(Session& session, const DrainFlags& flags, bool schedulable) {
  auto nodes = co_await chooseNodes(session, flags);
  if (!nodes) co_return failRequest(nodes.status());
  int code = kDone;
  for (const auto& id : *nodes) {
    if (Status done = co_await setSchedulable(session, flags, id, schedulable); !done.ok())
      code = failRequest(done);
  }
  co_return code;
}

/// What is wrong with the choice of nodes; "" when nothing is.
std::string misuse(const DrainFlags& flags, const std::string& verb) {
  if (flags.nodes.empty() && flags.selector.empty())
    return "USAGE: " + verb + " NODE [flags]: name a node, or choose some by --selector";
  if (!flags.nodes.empty() && !flags.selector.empty())
    return "cannot specify both a node name and a --selector option";
  return "";
}

void addNodeChoice(CLI::App& command, DrainFlags& flags) {
  command.add_option("NODE", flags.nodes, "The nodes");
  command.add_option("-l,--selector", flags.selector, "The nodes with these labels");
  addDryRunFlag(command, flags.dryRun);
}

void addCordon(CLI::App& app, Context& context, const char* verb, const char* help,
               bool schedulable) {
  auto flags = std::make_shared<DrainFlags>();
  auto* command = app.add_subcommand(verb, help);
  addNodeChoice(*command, *flags);
  command->callback([&context, flags, verb, schedulable] {
    const std::string wrong = misuse(*flags, verb);
    context.exitCode =
        wrong.empty()
            ? withSession(context,
                          [&](Session& session) { return setAll(session, *flags, schedulable); })
            : failUsage(wrong);
  });
}

}  // namespace

void addDrainCommand(CLI::App& app, Context& context) {
  auto flags = std::make_shared<DrainFlags>();
  auto* command =
      app.add_subcommand("drain", "Cordon nodes and evict their pods, as disruption budgets allow");
  addNodeChoice(*command, *flags);
  command->add_flag("--force", flags->rules.force, "Also pods that nobody will make again");
  command->add_flag("--ignore-daemonsets", flags->rules.ignoreDaemonSets,
                    "Leave the pods of DaemonSets");
  command->add_flag("--delete-emptydir-data", flags->rules.deleteEmptyDirData,
                    "Also pods whose emptyDir volumes are lost by it");
  command->add_option("--grace-period", flags->grace,
                      "Seconds that a pod has to end; negative: its own");
  command->add_option("--timeout", flags->timeoutText, "How long to wait, 0s: as long as it takes")
      ->capture_default_str();
  command->add_option("--pod-selector", flags->podSelector, "Only pods with these labels");
  command->add_flag("--disable-eviction", flags->disableEviction,
                    "Delete pods, past disruption budgets");
  command->add_option("--skip-wait-for-delete-timeout", flags->rules.skipWaitSeconds,
                      "Leave pods that have been terminating for more than so many seconds");
  command->callback([&context, flags] {
    const auto timeout = parseDuration(flags->timeoutText);
    std::string wrong = misuse(*flags, "drain");
    if (wrong.empty() && !timeout)
      wrong = "--timeout: \"" + flags->timeoutText + "\" is not a duration such as 60s or 5m";
    if (!wrong.empty()) {
      context.exitCode = failUsage(wrong);
      return;
    }
    flags->timeout = *timeout;
    context.exitCode =
        withSession(context, [&](Session& session) { return drain(session, *flags); });
  });
}

void addDrainCommands(CLI::App& app, Context& context) {
  addCordon(app, context, "cordon", "Let no new pods come to nodes", false);
  addCordon(app, context, "uncordon", "Let new pods come to nodes again", true);
  addDrainCommand(app, context);
}

}  // namespace podlab::cli
