#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <iostream>

#include "cli/agent_cleanup.hpp"
#include "cli/agent_process.hpp"
#include "cli/agent_service.hpp"
#include "cli/commands.hpp"
#include "cli/executable.hpp"
#include "cli/hollow_process.hpp"
#include "cli/node_membership.hpp"
#include "cli/process_setup.hpp"
#include "cli/server_process.hpp"
#include "cli/standalone_server.hpp"
#include "common/filesystem.hpp"
#include "lab/lab.hpp"
#include "lab/lab_state.hpp"
#include "lab/node_init.hpp"

namespace podlab::cli {
namespace {

void addServer(CLI::App& app, Context& context) {
  auto options = std::make_shared<ServerOptions>();
  auto flags = std::make_shared<StandaloneFlags>();
  auto podCidrs = std::make_shared<std::string>();
  auto fds = std::make_shared<std::string>();
  auto* command = app.add_subcommand(
      "server", "Run a control plane for nodes that are machines of their own, which join it");
  command->add_option("-f,--file", flags->file, "Cluster file; its nodes do not count");
  command->add_option("--advertise", flags->advertise,
                      "HOST[:PORT] by which other machines find this server (default: this "
                      "host's address, port 6443)");
  command->add_option("--tls-san", flags->tlsSans,
                      "Another name or address of this server, for its certificate; repeatable");
  command
      ->add_option("--cluster-signing-duration", flags->signingDuration,
                   "How long the certificates of nodes are good for")
      ->capture_default_str();
  command->add_option("--listen", options->listen,
                      "Address to listen on, e.g. 192.168.56.10:6443 (default: every address)");
  // What a lab gives its server.
  const auto ofLab = [command](const char* flag, auto& value, const char* help) {
    command->add_option(flag, value, help)->group("");
  };
  ofLab("--state-dir", options->stateDir, "Folder of the store");
  ofLab("--pki-dir", options->pkiDir,
        "Folder with ca.crt, server.crt, server.key and service-accounts.key");
  ofLab("--listen-fds", *fds, "Inherited listening sockets");
  ofLab("--api-address", options->apiAddress,
        "Where pods find the REST API, as host:port: what the Service \"kubernetes\" says");
  command
      ->add_flag("--pod-routes", options->podRoutes,
                 "Keep routes to the nodes' pods in this network namespace, so that pods reach the "
                 "server")
      ->group("");
  ofLab("--admin-fd", options->adminFd, "Inherited Unix socket of the administrator");
  ofLab("--pod-cidrs", *podCidrs, "The cluster's pod ranges, one a family");
  ofLab("--node-prefix-ipv4", options->nodePrefixV4, "Prefix length of a node's IPv4 range");
  ofLab("--node-prefix-ipv6", options->nodePrefixV6, "Prefix length of a node's IPv6 range");
  ofLab("--scheduler-profiles", options->schedulerProfiles,
        "The scheduler's profiles: NAME=SCORING[:sampled],...");
  command->callback([&context, options, flags, podCidrs, fds] {
    options->podCidrs = splitList(*podCidrs);
    for (const auto& fd : splitList(*fds)) options->listenFds.push_back(std::atoi(fd.c_str()));
    options->logLevel = context.logLevel;
    if (!options->stateDir.empty()) {
      context.exitCode = runServer(*options);
      return;
    }
    auto held = prepareStandalone(context, *flags, *options);
    if (held) (void)held->adminSocket.release();  // the server's from here on
    context.exitCode = held ? runServer(*options) : fail(held.status());
  });
}

/// What is left open of a node that joins; what is wrong with the flags otherwise.
Status completeNode(AgentProcessOptions& options) {
  if (::geteuid() != 0) {
    return Status(Code::kHostUnsupported,
                  "an agent changes links and routes of its machine; run it as root");
  }
  if (options.name.empty()) {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) < 0) return errnoStatus(errno, "gethostname");
    options.name = name.data();
    std::ranges::transform(options.name, options.name.begin(),
                           [](unsigned char c) { return std::tolower(c); });
  }
  auto root = lab::labsRoot();
  auto images = lab::imageStoreRoot();
  if (!root) return root.status();
  if (options.stateDir.empty()) options.stateDir = *root + "/.node";
  if (options.runDir.empty()) options.runDir = "/run/podlab";
  if (options.volumesDir.empty()) options.volumesDir = options.stateDir + "/volumes";
  if (options.imageStore.empty()) options.imageStore = *images;
  if (options.cgroup.empty()) options.cgroup = lab::labCgroup({options.stateDir});
  const auto files = makeRealFilesystem();
  for (const auto& folder : {options.stateDir, options.runDir}) {
    if (Status made = files->createDirectories(folder, 0755); !made) return made;
  }
  return {};
}

/// The flags of this command line but for those of its start.
std::vector<std::string> lastingFlags(const CLI::App& command) {
  std::vector<std::string> words;
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() == 0 || option->get_lnames().empty()) continue;
    const std::string& name = option->get_lnames().front();
    if (name == "token" || name == "background") continue;
    for (const auto& value : option->results()) {
      words.push_back("--" + name);
      words.push_back(value);
    }
  }
  return words;
}

void addAgent(CLI::App& app, Context& context) {
  auto options = std::make_shared<AgentProcessOptions>();
  auto url = std::make_shared<std::string>();
  auto podCidrs = std::make_shared<std::string>();
  auto nodeIps = std::make_shared<std::string>();
  auto cleanup = std::make_shared<bool>(false);
  auto background = std::make_shared<bool>(false);
  auto stop = std::make_shared<bool>(false);
  auto memberOf = std::make_shared<std::string>();
  auto* command = app.add_subcommand("agent", "Make this machine a node of a cluster (as root)");
  command->add_option("--join", *url, "https://HOST[:PORT] of the cluster's server");
  command->add_option("--token", options->token,
                      "What podlab token create has printed, - to read it from stdin; needed the "
                      "first time");
  command->add_flag("--background", *background,
                    "Join, then start the agent as a service of systemd, or without systemd as a "
                    "process in the background");
  command->add_flag("--stop", *stop,
                    "End the agent that --background has started, with this machine's pods, as "
                    "when the power fails; they come back with the next agent");
  command->add_flag("--cleanup", *cleanup,
                    "End this machine's pods and remove all that agents have made on it, with its "
                    "membership and volumes");
  command->add_option("--node-name", options->name, "The node's name (default: the host's)");
  command->add_option("--node-ip", *nodeIps,
                      "The node's own address, one a family (default: that by which the server is "
                      "reached)");
  command->add_option("--underlay", options->underlay,
                      "The link by which other nodes are reached, instead of --node-ip");
  command->add_option("--state-dir", options->stateDir,
                      "Folder of what outlives the agent (default: /var/lib/podlab/.node)");
  command->add_option("--run-dir", options->runDir,
                      "Folder of what ends with the boot (default: /run/podlab)");
  command->add_option("--volumes-dir", options->volumesDir,
                      "Folder of PersistentVolumes, shared by the agents of a host");
  command->add_option("--label", options->labels, "KEY=VALUE label of the node, repeatable");
  command->add_option("--taint", options->taints, "KEY=VALUE:EFFECT taint of the node, repeatable");
  command->add_option("--cpu", options->cpu, "Declared CPUs (default: the host's)");
  command->add_option("--memory", options->memory, "Declared memory (default: the host's)");
  command->add_option("--max-pods", options->maxPods, "Pods that the node takes")
      ->capture_default_str();
  command->add_option("--pod-pids-limit", options->podPidsLimit,
                      "Processes and threads that a pod may have (default: any number)");
  command->add_option(
      "--eviction-hard", options->evictionHard,
      "Thresholds of the node's pressure: nodefs.available<10%,memory.available<100Mi");
  command->add_option("--cgroup", options->cgroup,
                      "Path of the node's cgroup, below what podlab may use");
  command
      ->add_option("--container-log-max-size", options->logMaxSize,
                   "Size of a file of a container's log")
      ->capture_default_str();
  command->add_option("--container-log-max-files", options->logMaxFiles, "Files of each log")
      ->capture_default_str();
  command->add_option("--image-store", options->imageStore,
                      "Folder of this host's images (podlab image)");
  command->add_option("--runtime", options->runtime, "OCI runtime")->capture_default_str();
  command
      ->add_option(
          "--member-of", *memberOf,
          "With --stop or --cleanup: only if this machine is the node of that name, in the "
          "cluster whose CA has this hash")
      ->group("");
  // What a lab gives its agents, and a server those that join it.
  const auto ofLab = [command](const char* flag, auto& value, const char* help) {
    return command->add_option(flag, value, help)->group("");
  };
  ofLab("--boot-id", options->bootId,
        "What tells this boot of the node from others (default: the kernel's)");
  ofLab("--server", options->server, "host:port of the server");
  ofLab("--api-address", options->apiAddress, "host:port where pods find the API");
  ofLab("--pki-dir", options->pkiDir, "Folder with ca.crt, node.crt and node.key");
  ofLab("--pod-cidrs", *podCidrs, "The cluster's pod ranges, one a family");
  ofLab("--backend", options->backend, "vxlan or host-gw")
      ->check(CLI::IsMember({"vxlan", "host-gw"}));
  ofLab("--vxlan-id", options->vxlanId, "VXLAN network identifier");
  ofLab("--vxlan-port", options->vxlanPort, "UDP port of the overlay");
  ofLab("--missing-images", options->missingImages,
        "What becomes of a container whose image is not there: error or stand-in")
      ->check(CLI::IsMember({"error", "stand-in"}));
  command->callback([&context, command, options, url, podCidrs, nodeIps, cleanup, background, stop,
                     memberOf] {
    options->podCidrs = splitList(*podCidrs);
    options->nodeIps = splitList(*nodeIps);
    options->logLevel = context.logLevel;
    const bool ends = *cleanup || *stop;
    if (ends && (!(url->empty() && options->token.empty()) || *background || *cleanup == *stop)) {
      context.exitCode = failUsage(
          "--cleanup leaves a cluster, --stop ends a node for a while; --join, --token and "
          "--background do not go with them");
      return;
    }
    if (url->empty() && options->server.empty() && !ends) {
      context.exitCode = failUsage(
          "--join is required: https://HOST:PORT of the server, as podlab token create "
          "prints it");
      return;
    }
    if (!url->empty() && !options->nodeIps.empty() && !options->underlay.empty()) {
      context.exitCode = failUsage("--node-ip and --underlay say the same thing; give one of them");
      return;
    }
    if (url->empty() && !ends) {
      context.exitCode = runAgent(*options);
      return;
    }
    if (options->token == "-") std::getline(std::cin, options->token);
    Status complete = completeNode(*options);
    if (complete.ok() && !ends) {
      auto server = serverOfUrl(*url);
      complete = server.status();
      if (server) options->join = *server;
    }
    if (complete.ok() && !memberOf->empty()) {
      const auto foreign = isForeignNode(*options, *memberOf);
      complete = foreign.status();
      if (foreign && *foreign) {
        std::printf("podlab-agent foreign\n");
        context.exitCode = kDone;
        return;
      }
    }
    if (!complete.ok()) {
      context.exitCode = fail(complete);
    } else if (*background) {
      context.exitCode = startInBackground(*options, lastingFlags(*command));
    } else if (*stop) {
      context.exitCode = runStop(*options);
    } else {
      context.exitCode = *cleanup ? runCleanup(*options) : runAgent(*options);
    }
  });
}

void addHollow(CLI::App& app, Context& context) {
  auto options = std::make_shared<HollowProcessOptions>();
  auto* command = app.add_subcommand("hollow", "The hollow nodes of a lab")->group("");
  command->add_option("--cluster", options->clusterFile)->required();
  command->add_option("--pki-dir", options->pkiDir)->required();
  command->add_option("--boot-id", options->bootId)->required();
  command->add_option("--server", options->server)->required();
  command->callback([&context, options] {
    options->logLevel = context.logLevel;
    context.exitCode = runHollow(*options);
  });
}

void addLab(CLI::App& app, Context& context) {
  auto stateDir = std::make_shared<std::string>();
  auto imageStore = std::make_shared<std::string>();
  auto apiFd = std::make_shared<int>(-1);
  auto adminFd = std::make_shared<int>(-1);
  auto* command = app.add_subcommand("lab", "The first process of a lab")->group("");
  command->add_option("--state-dir", *stateDir)->required();
  command->add_option("--image-store", *imageStore)->required();
  command->add_option("--api-fd", *apiFd)->required();
  command->add_option("--admin-fd", *adminFd)->required();
  command->callback([&context, stateDir, imageStore, apiFd, adminFd] {
    initLogging(logLevelOf(context.logLevel), LogFormat::kText, "lab");
    auto executable = executablePath();
    if (!executable) {
      context.exitCode = fail(executable.status());
      return;
    }
    lab::LabOptions options;
    options.paths = {*stateDir};
    options.apiSocket = UniqueFd(*apiFd);
    options.adminSocket = UniqueFd(*adminFd);
    options.imageStore = *imageStore;
    options.executable = *executable;
    options.logLevel = context.logLevel;
    context.exitCode = lab::runLab(std::move(options));
  });

  auto state = std::make_shared<std::string>();
  auto* remove = app.add_subcommand("remove-state", "Removes a lab's folder")->group("");
  remove->add_option("FOLDER", *state)->required();
  remove->callback([&context, state] {
    const Status removed = makeRealFilesystem()->removeTree(*state);
    context.exitCode = removed.ok() ? kDone : fail(removed);
  });

  auto node = std::make_shared<lab::NodeInitOptions>();
  auto* init = app.add_subcommand("node-init", "The first process of a lab's node")->group("");
  init->add_option("--hostname", node->hostname)->required();
  init->add_option("--run-dir", node->runDir)->required();
  init->add_option("--containers-dir", node->containersDir)->required();
  init->add_option("--start-fd", node->startFd)->required();
  init->add_option("AGENT", node->agent)->required();
  init->callback([&context, node] {
    initLogging(logLevelOf(context.logLevel), LogFormat::kText, "node-init");
    context.exitCode = lab::runNodeInit(*node);
  });
}

}  // namespace

void addProcessCommands(CLI::App& app, Context& context) {
  addServer(app, context);
  addAgent(app, context);
  addHollow(app, context);
  addLab(app, context);
}

}  // namespace podlab::cli
