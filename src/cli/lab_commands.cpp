#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>

#include "cli/ask_lab.hpp"
#include "cli/commands.hpp"
#include "cli/executable.hpp"
#include "cli/kubeconfig.hpp"
#include "cli/lab_launch.hpp"
#include "cli/node_readiness.hpp"
#include "cli/session.hpp"
#include "cli/table.hpp"
#include "common/filesystem.hpp"
#include "common/real_clock.hpp"
#include "common/spawn.hpp"
#include "lab/control.hpp"
#include "lab/isolate.hpp"

namespace podlab::cli {
namespace {

using std::chrono::milliseconds;

/// How long a lab may take to make its certificates and network.
constexpr Duration kLabPatience = std::chrono::seconds(5);

struct UpOptions {
  std::string file;
  std::optional<int> nodes;
  std::string wait = "60s";
  std::optional<std::string> kubeconfig;  ///< unset: kubectl's own; "none": none
  bool nameGiven = false;
};

/// kDone once it holds, kFailed after `patience`.
Co<int> pollUntil(Clock& clock, std::function<bool()> holds, Duration patience) {
  const MonoTime deadline = clock.now() + patience;
  while (!holds()) {
    if (clock.now() >= deadline) co_return kFailed;
    co_await clock.sleepFor(milliseconds(5));
  }
  co_return kDone;
}

/// Waits, in steps of a few milliseconds, for what another process does to files: kDone, kFailed
/// after `patience`, or kInterrupted.
int waitUntil(const std::function<bool()>& holds, Duration patience) {
  return runCoroutine(
      [&](asio::io_context&, Clock& clock) { return pollUntil(clock, holds, patience); });
}

/// The last line of a log, or that there is none.
std::string lastLine(Filesystem& files, const std::string& log) {
  std::string text = files.readFile(log).valueOr("");
  while (text.ends_with('\n')) text.pop_back();
  if (text.empty()) return log + " is empty; is its disk full?";
  return log + " ends with: " + text.substr(text.rfind('\n') + 1);
}

Result<std::string> readInput(const std::string& file) {
  if (file == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream in(file, std::ios::binary);
  if (!in) return errnoStatus(errno, "cannot read " + file);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

Status checkCluster(const lab::Cluster& cluster, const std::vector<lab::HostNetwork>& networks) {
  auto causes = lab::validateCluster(cluster, networks);
  if (causes.empty()) return {};
  std::string message =
      "the cluster file is invalid: " + causes.front().field + ": " + causes.front().message;
  return Status(Code::kInvalid, std::move(message), std::move(causes));
}

/// The cluster that the flags and the file ask for, defaulted and valid but for the host's
/// networks.
Result<lab::Cluster> wantedCluster(Context& context, const UpOptions& options) {
  lab::Cluster cluster;
  if (!options.file.empty()) {
    auto text = readInput(options.file);
    if (!text) return text.status();
    auto parsed = lab::parseCluster(*text);
    if (!parsed) return parsed.status().withContext(options.file);
    cluster = std::move(*parsed);
  }
  if (options.nodes) {
    cluster.clear_nodes();
    cluster.add_nodes()->set_count(*options.nodes);
  }
  if (options.nameGiven || !cluster.has_name()) cluster.set_name(context.lab);
  context.lab = cluster.name();
  lab::applyClusterDefaults(cluster);
  if (Status status = checkCluster(cluster, {}); !status.ok()) return status;
  return cluster;
}

/// Tells kubectl of the lab; why not, when that fails: the lab is up all the same.
Status addLabToKubeconfig(Filesystem& files, const Context& context, const lab::LabPaths& paths,
                          const UpOptions& options) {
  const auto path = kubeconfigPath(options.kubeconfig.value_or(""));
  if (!path) return path.status();
  const auto entry = kubeconfigEntry(context.lab, paths);
  if (!entry) return entry.status();
  const auto add = [&entry](std::string_view yaml) { return addToKubeconfig(yaml, *entry); };
  Status changed = changeKubeconfig(*path, add);
  return changed.ok() ? files.writeFileAtomic(paths.kubeconfig(), *path, 0644, false) : changed;
}

/// Undoes it, in the file that was changed.
Status removeLabFromKubeconfig(Filesystem& files, const Context& context,
                               const lab::LabPaths& paths) {
  const auto path = files.readFile(paths.kubeconfig());
  if (!path || !files.exists(*path)) return {};
  const auto remove = [&](std::string_view yaml) {
    return removeFromKubeconfig(yaml, kubeconfigName(context.lab));
  };
  Status changed = changeKubeconfig(*path, remove);
  return changed.ok() ? files.removeFile(paths.kubeconfig()) : changed;
}

void warnOfKubeconfig(const Status& why) {
  std::fprintf(stderr, "warning: the kubeconfig is not changed: %s\n", why.message().c_str());
}

/// Begins the faults of the cluster file; the exit code.
int startTimeline(const Context& context, const lab::Cluster& cluster) {
  if (cluster.faults().timeline().empty()) return kDone;
  lab::LabRequest request;
  request.set_starttimeline(true);
  const auto answer = askRunningLab(context, request);
  if (answer) return kDone;
  return fail(answer.status().withContext("the lab is up, but its faults will not come"));
}

/// Whether the two differ in nothing but what breaks, and when.
bool differInFaultsOnly(lab::Cluster one, lab::Cluster other) {
  one.clear_faults();
  other.clear_faults();
  return lab::formatCluster(one) == lab::formatCluster(other);
}

int up(Context& context, const UpOptions& options) {
  const auto patience = parseDuration(options.wait);
  if (!patience || *patience < Duration(0))
    return failUsage("--wait: \"" + options.wait + "\" is not a duration such as 60s or 5m");
  auto wanted = wantedCluster(context, options);
  if (!wanted) return fail(wanted.status());
  auto paths = lab::labPaths(context.lab);
  if (!paths) return fail(paths.status());
  auto files = makeRealFilesystem();
  if (files->exists(paths->standalone())) {
    return fail(Status(Code::kConflict, "\"" + context.lab +
                                            "\" is a server for other machines; start it with: "
                                            "podlab server" +
                                            nameFlag(context)));
  }
  // Until the lab answers: of two that start it at once, the second finds it running.
  auto lock = lab::lockLabs();
  if (!lock) return fail(lock.status());

  lab::Cluster cluster = std::move(*wanted);
  const bool exists = files->exists(paths->clusterFile());
  const bool running = lab::runningLab(*paths).has_value();
  bool changed = !exists;
  if (exists) {
    auto text = files->readFile(paths->clusterFile());
    auto stored = text ? lab::parseCluster(*text) : Result<lab::Cluster>(text.status());
    if (!stored) return fail(stored.status().withContext(paths->clusterFile()));
    const bool asked = options.nodes || !options.file.empty();
    changed = asked && lab::formatCluster(*stored) != lab::formatCluster(cluster);
    if (changed && (running || !differInFaultsOnly(*stored, cluster))) {
      return fail(
          Status(Code::kConflict,
                 "the lab \"" + context.lab +
                     "\" exists with another cluster file; change its nodes with podlab node, " +
                     "its faults while it is stopped, or delete it first: podlab down --purge" +
                     nameFlag(context)));
    }
    if (!changed) cluster = std::move(*stored);
  }
  if (!running) {
    auto networks = hostNetworks();
    if (!networks) return fail(networks.status());
    if (Status status = checkCluster(cluster, *networks); !status.ok()) return fail(status);
  }
  if (changed) {
    Status status = files->createDirectories(paths->root);
    if (status.ok())
      status = files->writeFileAtomic(paths->clusterFile(), lab::formatCluster(cluster));
    if (!status.ok()) return fail(status);
  }

  Progress progress(context);
  if (!running) {
    progress.show("Starting the lab \"" + context.lab + "\" ...");
    if (Status status = launchLab(context, *paths); !status.ok()) {
      if (!exists) (void)files->removeTree(paths->root);
      return fail(status);
    }
  }
  // The lab answers from when its certificates are made and its nodes started.
  lab::LabRequest request;
  request.set_status(true);
  Result<lab::LabResponse> answer = Status(Code::kUnavailable, "the lab does not answer");
  int code = waitUntil([&] { return (answer = lab::askLab(paths->controlSocket(), request)).ok(); },
                       kLabPatience);
  const bool wantsKubeconfig = options.kubeconfig != "none";
  if (code == kDone && wantsKubeconfig) {
    const Status told = addLabToKubeconfig(*files, context, *paths, options);
    if (!told.ok()) {
      warnOfKubeconfig(told);
      say(context, "What kubectl needs: podlab kubeconfig" + nameFlag(context));
    }
  }
  lock->reset();
  if (code == kFailed) {
    return fail(answer.status().withContext(
        "the lab \"" + context.lab + "\" did not start: " + lastLine(*files, paths->log("lab"))));
  }
  NodeBoots nodes;
  if (code == kDone) {
    if (*patience == Duration(0)) return startTimeline(context, cluster);
    nodes = runningNodes(*answer);
    code = withSession(context, [&](Session& session) {
      return waitForNodes(session, context, *paths, nodes, *patience, progress);
    });
  }
  if (code == kInterrupted) {
    progress.done("Interrupted; the lab \"" + context.lab + "\" goes on. Wait for it: podlab up" +
                  nameFlag(context) + "; delete it: podlab down --purge" + nameFlag(context));
  }
  if (code == kDone) {
    progress.done("The lab \"" + context.lab + "\" is " + (running ? "already running" : "up") +
                  ": " + std::to_string(nodes.size()) +
                  (nodes.size() == 1 ? " node is" : " nodes are") + " Ready.");
    code = startTimeline(context, cluster);
  }
  return code;
}

struct DownOptions {
  bool purge = false;
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
    say(context, "There is no lab \"" + context.lab + "\".");
    return kDone;
  }
  if (auto pid = lab::runningLab(*paths)) {
    lab::LabRequest request;
    request.set_stop(true);
    Progress progress(context);
    progress.show("Stopping the lab \"" + context.lab + "\" ...");
    // A lab that does not answer is ended by the kernel's means: its first process takes all others
    // along.
    if (auto answer = lab::askLab(paths->controlSocket(), request); !answer) ::kill(*pid, SIGKILL);
    const auto ended = [&] { return !lab::runningLab(*paths); };
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
  if (options.purge) {
    if (Status status = purge(*files, *paths); !status.ok()) return fail(status);
    say(context, "The lab \"" + context.lab + "\" is gone, with its state.");
  } else {
    say(context, "The lab \"" + context.lab +
                     "\" is stopped. Start it again, with its pods: podlab up" + nameFlag(context) +
                     "; delete it: podlab down --purge" + nameFlag(context));
  }
  return kDone;
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
               cluster ? std::to_string(cluster->nodes_size()) : "?",
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
  Table table({"NODE", "PROCESS", "ADDRESSES"});
  for (const auto& node : answer->nodes()) {
    std::string addresses;
    for (const auto& one : node.addresses()) addresses += (addresses.empty() ? "" : ",") + one;
    table.add({node.name(), node.running() ? "Running" : "Stopped", addresses});
  }
  std::fputs(table.text().c_str(), stdout);
  if (!answer->faults().empty())
    std::printf("\nFaults in force: %d (podlab fault ls%s)\n", answer->faults_size(),
                nameFlag(context).c_str());
  return kDone;
}

}  // namespace

void addLabCommands(CLI::App& app, Context& context) {
  auto upOptions = std::make_shared<UpOptions>();
  auto* upCommand = app.add_subcommand("up", "Start a lab: create it, or resume it with its pods");
  upCommand->add_option("-n,--nodes", upOptions->nodes, "Number of nodes (default 3)")
      ->check(CLI::Range(1, 250));
  upCommand->add_option("-f,--file", upOptions->file, "Cluster file, - for stdin");
  upCommand
      ->add_option("--wait", upOptions->wait, "How long to wait for Ready nodes, 0s not at all")
      ->capture_default_str();
  upCommand->add_option(
      "--kubeconfig", upOptions->kubeconfig,
      "The file that gets the lab's context, none to leave it alone (default: $KUBECONFIG, else "
      "~/.kube/config)");
  upCommand->callback([&context, &app, upOptions] {
    upOptions->nameGiven = app.count("--name") > 0;
    context.exitCode = up(context, *upOptions);
  });

  auto downOptions = std::make_shared<DownOptions>();
  auto* downCommand = app.add_subcommand("down", "Stop a lab; its state is kept for the next up");
  downCommand->add_flag("--purge", downOptions->purge, "Delete the lab's state too");
  downCommand->callback(
      [&context, downOptions] { context.exitCode = down(context, *downOptions); });

  app.add_subcommand("ls", "List the labs")->callback([&context] { context.exitCode = list(); });
  app.add_subcommand("status", "Show a lab's processes")->callback([&context] {
    context.exitCode = status(context);
  });
}

}  // namespace podlab::cli
