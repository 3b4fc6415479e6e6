#include "cli/agent_process.hpp"
#include "cli/commands.hpp"
#include "cli/executable.hpp"
#include "cli/process_setup.hpp"
#include "cli/server_process.hpp"
#include "common/filesystem.hpp"
#include "lab/lab.hpp"
#include "lab/node_init.hpp"

namespace podlab::cli {
namespace {

void addServer(CLI::App& app, Context& context) {
  auto options = std::make_shared<ServerOptions>();
  auto podCidrs = std::make_shared<std::string>();
  auto fds = std::make_shared<std::string>();
  auto restFds = std::make_shared<std::string>();
  auto* command = app.add_subcommand("server", "Run a control plane (podlab up does it for you)");
  command->add_option("--state-dir", options->stateDir, "Folder of the store")->required();
  command
      ->add_option("--pki-dir", options->pkiDir,
                   "Folder with ca.crt, server.crt, server.key and service-accounts.key")
      ->required();
  command->add_option("--listen", options->listen, "Address to listen on, e.g. 0.0.0.0:6443");
  command->add_option("--listen-fds", *fds, "Inherited listening sockets")->group("");
  command->add_option("--rest-fds", *restFds, "Inherited listening sockets of the REST API")
      ->group("");
  command
      ->add_option(
          "--api-address", options->apiAddress,
          "Where pods find the REST API, as host:port: what the Service \"kubernetes\" says")
      ->group("");
  command
      ->add_flag("--pod-routes", options->podRoutes,
                 "Keep routes to the nodes' pods in this network namespace, so that pods reach the "
                 "server")
      ->group("");
  command->add_option("--admin-fd", options->adminFd, "Inherited Unix socket of the administrator")
      ->group("");
  command->add_option("--pod-cidrs", *podCidrs, "The cluster's pod ranges, one a family")
      ->required();
  command
      ->add_option("--node-prefix-ipv4", options->nodePrefixV4,
                   "Prefix length of a node's IPv4 range")
      ->capture_default_str();
  command
      ->add_option("--node-prefix-ipv6", options->nodePrefixV6,
                   "Prefix length of a node's IPv6 range")
      ->capture_default_str();
  command->callback([&context, options, podCidrs, fds, restFds] {
    options->podCidrs = splitList(*podCidrs);
    for (const auto& fd : splitList(*fds)) options->listenFds.push_back(std::atoi(fd.c_str()));
    for (const auto& fd : splitList(*restFds)) options->restFds.push_back(std::atoi(fd.c_str()));
    options->logLevel = context.logLevel;
    context.exitCode = runServer(*options);
  });
}

void addAgent(CLI::App& app, Context& context) {
  auto options = std::make_shared<AgentProcessOptions>();
  auto podCidrs = std::make_shared<std::string>();
  auto nodeIps = std::make_shared<std::string>();
  auto* command = app.add_subcommand("agent", "Run a node's agent (podlab up does it for you)");
  command->add_option("--node-name", options->name, "The node's name")->required();
  command->add_option("--boot-id", options->bootId,
                      "What tells this boot of the node from others (default: the kernel's)");
  command->add_option("--server", options->server, "host:port of the server")->required();
  command->add_option("--state-dir", options->stateDir, "Folder of what outlives the agent")
      ->required();
  command->add_option("--run-dir", options->runDir, "Folder of what ends with the node")
      ->required();
  command->add_option("--volumes-dir", options->volumesDir,
                      "Folder of PersistentVolumes, shared by the agents of a host");
  command->add_option("--api-address", options->apiAddress,
                      "host:port where pods find the API (default: nowhere)");
  command->add_option("--pki-dir", options->pkiDir, "Folder with ca.crt, node.crt and node.key")
      ->required();
  command->add_option("--node-ip", *nodeIps, "The node's own addresses, one a family")->required();
  command->add_option("--pod-cidrs", *podCidrs, "The cluster's pod ranges, one a family")
      ->required();
  command->add_option("--backend", options->backend, "vxlan or host-gw")
      ->check(CLI::IsMember({"vxlan", "host-gw"}))
      ->capture_default_str();
  command->add_option("--vxlan-id", options->vxlanId, "VXLAN network identifier")
      ->capture_default_str();
  command->add_option("--vxlan-port", options->vxlanPort, "UDP port of the overlay")
      ->capture_default_str();
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
                      "Path of the node's cgroup, below what podlab may use (default: none)");
  command
      ->add_option("--container-log-max-size", options->logMaxSize,
                   "Size of a file of a container's log")
      ->capture_default_str();
  command->add_option("--container-log-max-files", options->logMaxFiles, "Files of each log")
      ->capture_default_str();
  command->add_option("--image-store", options->imageStore,
                      "Folder of this host's images (podlab image)");
  command
      ->add_option("--missing-images", options->missingImages,
                   "What becomes of a container whose image is not there: error or stand-in")
      ->check(CLI::IsMember({"error", "stand-in"}))
      ->capture_default_str();
  command->add_option("--runtime", options->runtime, "OCI runtime")->capture_default_str();
  command->callback([&context, options, podCidrs, nodeIps] {
    options->podCidrs = splitList(*podCidrs);
    options->nodeIps = splitList(*nodeIps);
    options->logLevel = context.logLevel;
    context.exitCode = runAgent(*options);
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
  addLab(app, context);
}

}  // namespace podlab::cli
