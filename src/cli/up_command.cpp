#include "cli/up_command.hpp"

#include <cstdio>
#include <optional>

#include "cli/ask_lab.hpp"
#include "cli/hosts_plan.hpp"
#include "cli/hosts_up.hpp"
#include "cli/kubeconfig.hpp"
#include "cli/lab_launch.hpp"
#include "cli/node_readiness.hpp"
#include "cli/session.hpp"
#include "cli/user_files.hpp"
#include "common/filesystem.hpp"
#include "lab/control.hpp"
#include "lab/hollow_config.hpp"

namespace podlab::cli {
namespace {

struct UpOptions {
  std::string file;
  std::optional<int> nodes;
  std::optional<int> hollow;
  std::string wait = "60s";
  std::optional<std::string> kubeconfig;  ///< unset: kubectl's own; "none": none
  bool nameGiven = false;
  bool local = false;  ///< a lab, whatever hosts the nodes have
  std::string advertise;
};

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
    if (*options.nodes > 0) cluster.add_nodes()->set_count(*options.nodes);
  }
  if (options.hollow) {
    cluster.clear_hollow();
    if (*options.hollow > 0) cluster.add_hollow()->set_count(*options.hollow);
  }
  if (options.nameGiven || !cluster.has_name()) cluster.set_name(context.lab);
  context.lab = cluster.name();
  const bool mtuGiven = cluster.networking().has_mtu();
  lab::applyClusterDefaults(cluster);
  if (Status status = checkCluster(cluster, {}); !status.ok()) return status;
  if (options.local) {
    for (auto& node : *cluster.mutable_nodes()) node.clear_host();
  }
  // Each machine's link has its own.
  if (lab::hasHosts(cluster) && !mtuGiven) cluster.mutable_networking()->clear_mtu();
  return cluster;
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

int onHosts(Context& context, const lab::LabPaths& paths, const lab::Cluster& wanted,
            const UpOptions& options, Duration patience) {
  HostsUpOptions hosts;
  hosts.patience = patience;
  hosts.advertise = options.advertise;
  hosts.kubeconfig = options.kubeconfig.value_or("");
  const bool again = !options.file.empty() && options.file != "-";
  hosts.again = "podlab up" + (again ? " -f " + options.file : "") +
                (again && !options.nameGiven ? "" : nameFlag(context));
  return upOnHosts(context, paths, wanted, hosts);
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
  const bool asked = options.nodes || options.hollow || !options.file.empty();
  if (!asked && files->exists(paths->standalone())) {
    auto stored = readCluster(*files, *paths);
    if (!stored) return fail(stored.status());
    if (*stored && lab::hasHosts(**stored)) wanted = std::move(**stored);
  }
  if (lab::hasHosts(*wanted)) return onHosts(context, *paths, *wanted, options, *patience);
  if (!options.advertise.empty())
    return failUsage("--advertise is for a cluster file whose nodes have hosts");
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
    auto read = readCluster(*files, *paths);
    if (!read) return fail(read.status());
    lab::Cluster stored = std::move(**read);
    changed = asked && lab::formatCluster(stored) != lab::formatCluster(cluster);
    if (changed && (running || !differInFaultsOnly(stored, cluster))) {
      return fail(
          Status(Code::kConflict,
                 "the lab \"" + context.lab +
                     "\" exists with another cluster file; change its nodes with podlab node, " +
                     "its faults while it is stopped, or delete it first: podlab down --purge" +
                     nameFlag(context)));
    }
    if (!changed) cluster = std::move(stored);
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
  pid_t launched = -1;
  if (!running) {
    progress.show("Starting the lab \"" + context.lab + "\" ...");
    const auto pid = launchLab(context, *paths);
    if (!pid) {
      if (!exists) (void)files->removeTree(paths->root);
      return fail(pid.status());
    }
    launched = *pid;
  }
  // The lab answers from when its certificates are made and its nodes started.
  Result<lab::LabResponse> answer = lab::LabResponse();
  int code = waitForAnswer(*paths, launched, answer);
  const bool wantsKubeconfig = options.kubeconfig != "none";
  if (code == kDone && wantsKubeconfig) {
    const Status told =
        addLabToKubeconfig(*files, context, *paths, options.kubeconfig.value_or(""));
    if (!told.ok()) {
      warnOfKubeconfig(told);
      say(context, "What kubectl needs: podlab kubeconfig" + nameFlag(context));
    }
  }
  lock->reset();
  if (code == kFailed) {
    return fail(answer.status().withContext(
        "the lab \"" + context.lab + "\" did not start: " + endOfLog(*files, paths->log("lab"))));
  }
  NodeBoots nodes;
  if (code == kDone) {
    if (*patience == Duration(0)) return startTimeline(context, cluster);
    nodes = runningNodes(*answer);
    for (const auto& member : lab::hollowNodes(cluster))
      nodes[member.name] = answer->hollow().bootid();
    code = withSession(context, [&](Session& session) {
      return waitForNodes(session, *paths, nodes, *patience, progress);
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

}  // namespace

void addUpCommand(CLI::App& app, Context& context) {
  auto upOptions = std::make_shared<UpOptions>();
  auto* upCommand = app.add_subcommand(
      "up",
      "Start a lab: create it, or resume it with its pods; or a cluster on the hosts of a file");
  upCommand->add_option("-n,--nodes", upOptions->nodes, "Number of nodes (default 3)")
      ->check(CLI::Range(1, 250));
  upCommand
      ->add_option("--hollow", upOptions->hollow,
                   "Number of hollow nodes, whose containers and network are simulated; without "
                   "--nodes the lab has no others")
      ->check(CLI::Range(0, 20000));
  upCommand->add_option("-f,--file", upOptions->file, "Cluster file, - for stdin");
  upCommand
      ->add_option("--wait", upOptions->wait, "How long to wait for Ready nodes, 0s not at all")
      ->capture_default_str();
  upCommand->add_option(
      "--kubeconfig", upOptions->kubeconfig,
      "The file that gets the lab's context, none to leave it alone (default: $KUBECONFIG, else "
      "~/.kube/config)");
  upCommand->add_flag("--local", upOptions->local,
                      "A lab of this host, also when the file's nodes have hosts");
  upCommand->add_option("--advertise", upOptions->advertise,
                        "HOST[:PORT] by which the hosts of the file find this machine, where the "
                        "server is (default: the address by which they see it)");
  upCommand->callback([&context, &app, upOptions] {
    upOptions->nameGiven = app.count("--name") > 0;
    context.exitCode = up(context, *upOptions);
  });
}

}  // namespace podlab::cli
