#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>

#include "cli/ask_lab.hpp"
#include "cli/commands.hpp"
#include "cli/executable.hpp"
#include "cli/hosts_down.hpp"
#include "cli/hosts_plan.hpp"
#include "cli/kubeconfig.hpp"
#include "cli/lab_launch.hpp"
#include "cli/session.hpp"
#include "cli/table.hpp"
#include "cli/up_command.hpp"
#include "common/filesystem.hpp"
#include "common/readable.hpp"
#include "common/spawn.hpp"
#include "common/unique_fd.hpp"
#include "lab/control.hpp"
#include "lab/hollow_config.hpp"
#include "lab/isolate.hpp"

namespace podlab::cli {
namespace {

struct DownOptions {
  bool purge = false;
  bool force = false;  ///< also when hosts are left as they are
};

/// Also what belongs to the user's subordinate ids, which takes root of a namespace that has them.
Status purge(Filesystem& files, const lab::LabPaths& paths) {
  Status removed = files.removeTree(paths.root);
  if (!removed.is(Code::kForbidden) || ::geteuid() == 0) return removed;
  auto executable = executablePath();
  if (!executable) return executable.status();
  lab::IsolatedSpec spec;
  spec.argv = {*executable, "remove-state", paths.root};
  spec.namespaces = CLONE_NEWUSER;
  spec.mapRoot = true;
  auto started = lab::startIsolated(spec);
  if (!started) return started.status();
  return reapChild(*started) == 0 ? Status() : removed;
}

int down(Context& context, const DownOptions& options) {
  auto paths = lab::labPaths(context.lab);
  if (!paths) return fail(paths.status());
  auto files = makeRealFilesystem();
  if (!files->exists(paths->clusterFile())) {
    // What a server that was killed before it had one has left.
    if (options.purge && files->exists(paths->standalone())) (void)files->removeTree(paths->root);
    say(context, "There is no lab \"" + context.lab + "\".");
    return kDone;
  }
  const auto cluster = readCluster(*files, *paths);
  int left = kDone;
  if (cluster && *cluster && lab::hasHosts(**cluster)) {
    left = endOnHosts(context, *paths, **cluster, options.purge);
    if (left == kInterrupted) return left;
  }
  if (auto pid = lab::runningLab(*paths)) {
    lab::LabRequest request;
    request.set_stop(true);
    Progress progress(context);
    progress.show("Stopping the lab \"" + context.lab + "\" ...");
    const UniqueFd process = openPidfd(*pid);
    // A lab that does not answer is ended by the kernel's means: its first process takes all others
    // along.
    if (auto answer = lab::askLab(paths->controlSocket(), request); !answer) ::kill(*pid, SIGKILL);
    // Its lock is free, and all others are gone.
    const auto ended = [&] {
      return !lab::runningLab(*paths) && (!process || isReadable(process.get()));
    };
    int code = waitUntil(ended, std::chrono::seconds(6));
    if (code == kFailed) {
      ::kill(*pid, SIGKILL);
      code = waitUntil(ended, std::chrono::seconds(5));
    }
    if (code == kInterrupted) return code;
    if (code == kFailed) {
      return fail(Status(Code::kTimeout, "the lab's first process, pid " + std::to_string(*pid) +
                                             ", does not end"));
    }
  }
  {
    const auto lock = lab::lockLabs();
    if (!lock) return fail(lock.status());
    if (Status told = removeLabFromKubeconfig(*files, context, *paths); !told.ok())
      warnOfKubeconfig(told);
  }
  // The kernel may still be at the end of the lab's processes.
  Status removed;
  const auto tried = [&] {
    removed = lab::removeLabCgroups(*files, *paths);
    return !removed.is(Code::kConflict);
  };
  if (const int code = waitUntil(tried, std::chrono::seconds(5)); code == kInterrupted) return code;
  if (!removed.ok()) return fail(removed);
  if (options.purge && left != kDone && !options.force) {
    return fail(Status(Code::kUnavailable,
                       "the server is stopped; its state is kept, since not all hosts are cleaned "
                       "up: run it again, or give them up by podlab down --purge --force" +
                           nameFlag(context)));
  }
  if (options.purge) {
    if (Status status = purge(*files, *paths); !status.ok()) return fail(status);
    say(context, "The lab \"" + context.lab + "\" is gone, with its state.");
  } else {
    say(context, "The lab \"" + context.lab +
                     "\" is stopped. Start it again, with its pods: podlab up" + nameFlag(context) +
                     "; delete it: podlab down --purge" + nameFlag(context));
  }
  return options.force ? kDone : left;
}

int list() {
  auto labs = lab::listLabs();
  if (!labs) return fail(labs.status());
  auto files = makeRealFilesystem();
  Table table({"NAME", "STATUS", "NODES", "API"});
  for (const auto& name : *labs) {
    auto paths = lab::labPaths(name);
    if (!paths) return fail(paths.status());
    auto text = files->readFile(paths->clusterFile());
    auto cluster = text ? lab::parseCluster(*text) : Result<lab::Cluster>(text.status());
    const bool running = lab::runningLab(*paths).has_value();
    table.add({name, running ? "Running" : "Stopped",
               cluster ? std::to_string(cluster->nodes_size() + lab::hollowCount(*cluster)) : "?",
               running ? files->readFile(paths->apiAddress()).valueOr("") : "-"});
  }
  if (table.empty()) {
    std::fputs("No labs. Create one with: podlab up\n", stderr);
  } else {
    std::fputs(table.text().c_str(), stdout);
  }
  return kDone;
}

int status(const Context& context) {
  const auto paths = existingLab(context);
  if (!paths) return fail(paths.status());
  const auto pid = lab::runningLab(*paths);
  if (!pid) {
    std::printf("Lab:    %s\nStatus: Stopped\nState:  %s\n", context.lab.c_str(),
                paths->root.c_str());
    return kDone;
  }
  lab::LabRequest request;
  request.set_status(true);
  auto answer = lab::askLab(paths->controlSocket(), request);
  if (!answer) return fail(answer.status());
  const std::string address = makeRealFilesystem()->readFile(paths->apiAddress()).valueOr("?");
  std::printf(
      "Lab:    %s\nStatus: Running (pid %d)\nState:  %s\nAPI:    https://%s\nServer: %s, %d "
      "restarts\n\n",
      context.lab.c_str(), *pid, paths->root.c_str(), address.c_str(),
      answer->serverrunning() ? "running" : "down", answer->serverrestarts());
  if (const auto cluster = readCluster(*makeRealFilesystem(), *paths);
      cluster && *cluster && lab::hasHosts(**cluster))
    return printHosts(context, **cluster);
  Table table({"NODE", "PROCESS", "ADDRESSES"});
  for (const auto& node : answer->nodes()) {
    std::string addresses;
    for (const auto& one : node.addresses()) addresses += (addresses.empty() ? "" : ",") + one;
    table.add({node.name(), node.running() ? "Running" : "Stopped", addresses});
  }
  if (!table.empty()) std::fputs(table.text().c_str(), stdout);
  if (answer->has_hollow()) {
    const auto& hollow = answer->hollow();
    std::printf("%sHollow: %s, %d nodes, %d restarts\n", table.empty() ? "" : "\n",
                hollow.running() ? "running" : "down", hollow.nodes(), hollow.restarts());
  }
  if (!answer->faults().empty())
    std::printf("\nFaults in force: %d (podlab fault ls%s)\n", answer->faults_size(),
                nameFlag(context).c_str());
  return kDone;
}

}  // namespace

void addLabCommands(CLI::App& app, Context& context) {
  addUpCommand(app, context);

  auto downOptions = std::make_shared<DownOptions>();
  auto* downCommand = app.add_subcommand("down", "Stop a lab; its state is kept for the next up");
  downCommand->add_flag("--purge", downOptions->purge, "Delete the lab's state too");
  downCommand->add_flag("--force", downOptions->force,
                        "With --purge: also when hosts of the cluster cannot be cleaned up");
  downCommand->callback(
      [&context, downOptions] { context.exitCode = down(context, *downOptions); });

  app.add_subcommand("ls", "List the labs")->callback([&context] { context.exitCode = list(); });
  app.add_subcommand("status", "Show a lab's processes")->callback([&context] {
    context.exitCode = status(context);
  });
}

}  // namespace podlab::cli
