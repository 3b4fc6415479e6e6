#include "lab/lab.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include <asio.hpp>

#include "common/cgroups.hpp"
#include "common/filesystem.hpp"
#include "common/log.hpp"
#include "common/real_clock.hpp"
#include "common/sync.hpp"
#include "lab/agent_flags.hpp"
#include "lab/control.hpp"
#include "lab/fault_board.hpp"
#include "lab/fault_requests.hpp"
#include "lab/hollow_config.hpp"
#include "lab/isolate.hpp"
#include "lab/listen.hpp"
#include "lab/mounts.hpp"
#include "lab/node_freezer.hpp"
#include "lab/node_init.hpp"
#include "lab/pki.hpp"
#include "lab/restart_delay.hpp"
#include "lab/underlay.hpp"

namespace podlab::lab {
namespace {

using std::chrono::seconds;
using NodeConfig = config::v1alpha1::Node;

constexpr std::uint16_t kServerPort = 6443;
/// Where pods find the API, as at the service "kubernetes" of other clusters.
constexpr std::uint16_t kPodApiPort = 443;
constexpr Duration kShutdownGrace = seconds(4);

/// One node's process, as long as the lab knows the node.
struct NodeState {
  NodeConfig config;
  int index = 0;
  pid_t pid = 0;  ///< 0: not running
  int restarts = 0;
  std::string bootId;  ///< of the last start
  bool frozen = false;
  bool killedByFault = false;  ///< and starts when the fault is over
};

/// A process that starts again whenever it ends.
struct Supervised {
  std::string name;
  std::function<void()> start;
  pid_t pid = 0;  ///< 0: not running
  MonoTime startedAt{};
  RestartDelay delay = {};
  int restarts = 0;
};

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

class Lab final : public FaultTarget {
 public:
  explicit Lab(LabOptions options)
      : options_(std::move(options)),
        clock_(makeRealClock(io_.get_executor())),
        rng_(makeSystemRng()),
        files_(makeRealFilesystem()),
        signals_(io_, SIGCHLD, SIGTERM, SIGINT),
        tasks_(io_.get_executor()),
        freezer_(cgroups_, labCgroup(options_.paths)),
        faults_(*clock_, *this) {}

  int run() {
    if (Status status = prepare(); !status.ok()) {
      logError("lab_not_started", {{"error", status}});
      return 1;
    }
    waitForSignal();
    startServer();
    if (hollowNodes_ > 0) startHollow();
    for (auto& [name, node] : nodes_) {
      if (Status status = startNode(node); !status.ok())
        logError("node_not_started", {{"node", name}, {"error", status}});
    }
    const ControlHandler handler = [this](LabRequest request) {
      return answer(std::move(request));
    };
    asio::co_spawn(io_, serveControl(options_.paths.controlSocket(), handler),
                   [](std::exception_ptr, Status status) {
                     if (!status.is(Code::kCanceled))
                       logError("control_failed", {{"error", status}});
                   });
    io_.run();
    return 0;
  }

 private:
  Status prepare() {
    auto lock = lockLab(options_.paths);
    if (!lock) return lock.status();
    lock_ = std::move(*lock);
    if (Status status = makeMountsPrivate(); !status.ok()) return status;
    if (Status status = mountProc(); !status.ok()) return status;
    if (Status status = prepareCgroups(); !status.ok()) return status;
    if (Status status = hideHybridCgroups(); !status.ok()) return status;

    auto text = files_->readFile(options_.paths.clusterFile());
    if (!text) return text.status();
    auto cluster = parseCluster(*text);
    if (!cluster) return cluster.status().withContext(options_.paths.clusterFile());
    cluster_ = std::move(*cluster);
    std::vector<net::Cidr> ranges;
    for (const auto& range : cluster_.networking().underlaycidrs()) {
      auto parsed = net::Cidr::parse(range);
      if (!parsed) return parsed.status();
      ranges.push_back(*parsed);
    }
    underlay_ = std::make_unique<Underlay>(std::move(ranges), cluster_.networking().mtu());
    if (Status status = underlay_->create(); !status.ok()) return status;

    std::vector<std::string> addresses;
    for (const auto& address : underlay_->serverAddresses())
      addresses.push_back(address.toString());
    auto pki = Pki::open(*files_, options_.paths.pki(""), clock_->wallNow(), *rng_, {}, addresses);
    if (!pki) return pki.status();
    pki_ = std::make_unique<Pki>(std::move(*pki));

    // Made here and kept: agents that dial while the server restarts wait in the backlog.
    auto socket = listenOn(underlay_->serverAddresses().front().toString(), kServerPort);
    if (!socket) return socket.status();
    agentSocket_ = std::move(*socket);
    auto podApi = listenOn(underlay_->serverAddresses().front().toString(), kPodApiPort);
    if (!podApi) return podApi.status();
    podApiSocket_ = std::move(*podApi);
    if (Status status = files_->createDirectories(options_.paths.server(), 0700); !status.ok())
      return status;
    if (Status status = files_->createDirectories(options_.paths.root + "/log"); !status.ok())
      return status;
    for (const auto& config : cluster_.nodes()) {
      if (Status status = adopt(config); !status.ok()) return status;
    }
    hollowNodes_ = hollowCount(cluster_);
    if (hollowNodes_ == 0) return {};
    std::vector<std::string> groups;
    for (const auto& group : cluster_.hollow()) groups.push_back(group.name());
    return pki_->issueHollow(groups, options_.paths.hollow());
  }

  /// Removes what a killed lab has left, and writes down where this one's cgroups will be.
  Status prepareCgroups() {
    if (Status status = removeLabCgroups(*files_, options_.paths); !status.ok())
      logWarning("cgroups_not_removed", {{"error", status}});
    std::string text;
    for (const auto& folder : cgroups_.folders(labCgroup(options_.paths))) text += folder + "\n";
    if (text.empty()) return {};
    return files_->writeFileAtomic(options_.paths.cgroups(), text, 0644, false);
  }

  /// For when none of the node's processes is left.
  void removeNodeCgroups(const std::string& node) {
    for (const auto& folder : freezer_.folders(node)) {
      if (Status status = removeCgroup(folder); !status.ok())
        logWarning("cgroup_not_removed", {{"node", node}, {"error", status}});
    }
  }

  /// Makes the node's folder and certificate, and gives it the index that it had, or the lowest
  /// free one.
  Status adopt(const NodeConfig& config) {
    NodeState node;
    node.config = config;
    const std::string folder = options_.paths.node(config.name());
    if (Status status = files_->createDirectories(folder); !status.ok()) return status;
    if (auto index = files_->readFile(folder + "/index")) node.index = std::atoi(index->c_str());
    if (node.index <= 0) {
      node.index = freeIndex();
      if (Status status =
              files_->writeFileAtomic(folder + "/index", std::to_string(node.index), 0644, false);
          !status.ok())
        return status;
    }
    if (Status status = pki_->issueNode(config.name(), folder + "/pki"); !status.ok())
      return status;
    nodes_.insert_or_assign(config.name(), std::move(node));
    return {};
  }

  int freeIndex() {
    std::set<int> used;
    for (const auto& [name, node] : nodes_) used.insert(node.index);
    // Nodes that are not adopted yet have their index on disk.
    for (const auto& config : cluster_.nodes()) {
      if (auto index = files_->readFile(options_.paths.node(config.name()) + "/index"))
        used.insert(std::atoi(index->c_str()));
    }
    int index = 1;
    while (used.contains(index)) ++index;
    return index;
  }

  IsolatedSpec process(std::string_view logName, std::vector<std::string> arguments) {
    IsolatedSpec spec;
    spec.argv = {options_.executable};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    spec.logFile = options_.paths.log(logName);
    return spec;
  }

  /// The server's address on the underlay, as in a URL.
  std::string serverHost() const {
    const auto server = underlay_->serverAddresses().front();
    return server.isV4() ? server.toString() : "[" + server.toString() + "]";
  }

  void startServer() {
    const auto& network = cluster_.networking();
    IsolatedSpec spec =
        process("server",
                {"server",
                 "--state-dir",
                 options_.paths.server(),
                 "--pki-dir",
                 options_.paths.pki(""),
                 "--listen-fds",
                 join({std::to_string(agentSocket_.get()), std::to_string(options_.apiSocket.get()),
                       std::to_string(podApiSocket_.get())}),
                 "--api-address",
                 serverHost() + ":" + std::to_string(kPodApiPort),
                 "--pod-routes",
                 "--admin-fd",
                 std::to_string(options_.adminSocket.get()),
                 "--pod-cidrs",
                 join({network.podcidrs().begin(), network.podcidrs().end()}),
                 "--node-prefix-ipv4",
                 std::to_string(network.nodeprefixipv4()),
                 "--node-prefix-ipv6",
                 std::to_string(network.nodeprefixipv6()),
                 "--scheduler-profiles",
                 schedulerProfiles(cluster_),
                 "--log-level",
                 options_.logLevel});
    spec.keepFds = {options_.apiSocket.get(), options_.adminSocket.get(), agentSocket_.get(),
                    podApiSocket_.get()};
    supervise(server_, spec);
  }

  void startHollow() {
    hollowBootId_ = rng_->uuid();
    const IsolatedSpec spec =
        process("hollow", {"hollow", "--cluster", options_.paths.clusterFile(), "--pki-dir",
                           options_.paths.hollow(), "--boot-id", hollowBootId_, "--server",
                           serverHost() + ":" + std::to_string(kServerPort), "--log-level",
                           options_.logLevel});
    supervise(hollow_, spec);
  }

  void supervise(Supervised& process, const IsolatedSpec& spec) {
    process.startedAt = clock_->now();
    const auto started = startIsolated(spec);
    if (started) {
      process.pid = *started;
      logInfo(process.name + "_started", {{"pid", process.pid}});
    } else {
      logError(process.name + "_not_started", {{"error", started.status()}});
      gone(process);
    }
  }

  void gone(Supervised& process, bool killed = false) {
    process.pid = 0;
    if (stopping_) return;
    ++process.restarts;
    clock_->scheduleIn(process.delay.next(clock_->now() - process.startedAt, killed),
                       [this, &process] {
                         if (!stopping_) process.start();
                       });
  }

  std::vector<std::string> agentArguments(const NodeState& node) {
    const auto& network = cluster_.networking();
    const std::string folder = options_.paths.node(node.config.name());
    std::vector<std::string> addresses;
    for (const auto& address : underlay_->nodeAddresses(node.index))
      addresses.push_back(address.toString());
    const std::string host = serverHost();
    std::vector<std::string> arguments{
        options_.executable, "agent",
        "--node-name",       node.config.name(),
        "--boot-id",         node.bootId,
        "--server",          host + ":" + std::to_string(kServerPort),
        "--api-address",     host + ":" + std::to_string(kPodApiPort),
        "--state-dir",       folder,
        "--run-dir",         folder + "/run",
        "--volumes-dir",     options_.paths.volumes(),
        "--pki-dir",         folder + "/pki",
        "--node-ip",         join(addresses),
        "--backend",         network.backend(),
        "--vxlan-id",        std::to_string(network.vxlanid()),
        "--vxlan-port",      std::to_string(network.vxlanport()),
        "--pod-cidrs",       join({network.podcidrs().begin(), network.podcidrs().end()}),
        "--cgroup",          labCgroup(options_.paths) + "/" + node.config.name(),
        "--log-level",       options_.logLevel};
    const auto add = [&](const char* flag, const std::string& value) {
      arguments.push_back(flag);
      arguments.push_back(value);
    };
    add("--image-store", options_.imageStore);
    add("--missing-images", cluster_.images().missing());
    const auto own = agentFlags(node.config);
    arguments.insert(arguments.end(), own.begin(), own.end());
    return arguments;
  }

  Status startNode(NodeState& node) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return errnoStatus(errno, "pipe");
    UniqueFd wait(ends[0]), go(ends[1]);
    const std::string name = node.config.name();
    IsolatedSpec spec = process(
        name, {"node-init", "--hostname", name, "--run-dir", options_.paths.node(name) + "/run",
               "--containers-dir", options_.paths.node(name) + "/containers", "--start-fd",
               std::to_string(wait.get()), "--"});
    node.bootId = rng_->uuid();
    node.frozen = false;
    node.killedByFault = false;
    const auto agent = agentArguments(node);
    spec.argv.insert(spec.argv.end(), agent.begin(), agent.end());
    spec.namespaces = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC;
    spec.keepFds = {wait.get()};
    auto started = startIsolated(spec);
    if (!started) return started.status();
    node.pid = *started;
    // The node starts its agent when it reads a byte here, that is, when its link is there; on
    // failure it sees the end and ends.
    if (Status status = underlay_->connect(node.pid, node.index); !status.ok()) return status;
    if (Status status = freezer_.adopt(name, node.pid); !status.ok())
      logWarning("node_not_freezable", {{"node", name}, {"error", status}});
    if (Status status = underlay_->enforce(effects_, indices()); !status.ok()) return status;
    if (Status status = enforceFreeze(node); !status.ok()) return status;
    if (::write(go.get(), "", 1) != 1) return errnoStatus(errno, "cannot start node " + name);
    logInfo("node_started", {{"node", name}, {"pid", node.pid}});
    return {};
  }

  std::map<std::string, int> indices() const {
    std::map<std::string, int> all;
    for (const auto& [name, node] : nodes_) all[name] = node.index;
    return all;
  }

  Status enforceFreeze(NodeState& node) {
    const bool wanted = effects_.frozen.contains(node.config.name());
    if (node.pid == 0 || node.frozen == wanted) return {};
    Status status = freezer_.set(node.config.name(), wanted);
    if (status.ok()) node.frozen = wanted;
    return status;
  }

  /// Kills the node for a fault, or starts it when the fault is over.
  Status enforceLife(NodeState& node) {
    const bool dead = effects_.dead.contains(node.config.name());
    if (dead && node.pid != 0) {
      ::kill(node.pid, SIGKILL);
      node.killedByFault = true;
    }
    if (dead || node.pid != 0 || !node.killedByFault || stopping_) return {};
    return startNode(node);
  }

  /// Whether a node that a fault has killed has not ended yet.
  bool anyDies() const {
    return std::ranges::any_of(nodes_, [this](const auto& entry) {
      return entry.second.pid != 0 && effects_.dead.contains(entry.first);
    });
  }

  // FaultTarget.
  NodeLabels nodes() const override { return nodeLabels(cluster_); }

  Status enforce(const FaultEffects& effects) override {
    effects_ = effects;
    if (Status status = underlay_->enforce(effects_, indices()); !status.ok()) return status;
    for (auto& [name, node] : nodes_) {
      if (Status status = enforceFreeze(node); !status.ok()) return status;
    }
    for (auto& [name, node] : nodes_) {
      if (Status status = enforceLife(node); !status.ok()) return status;
    }
    return {};
  }

  Status supports(FaultKind kind) override {
    return kind == FaultKind::kNodeFreeze ? freezer_.supported() : underlay_->supports(kind);
  }

  Status killAgent(const std::string& name) override {
    const auto it = nodes_.find(name);
    if (it == nodes_.end() || it->second.pid == 0)
      return Status(Code::kConflict, "node " + name + " is not running");
    if (::kill(it->second.pid, kKillAgent) < 0) return errnoStatus(errno, "kill");
    return {};
  }

  void waitForSignal() {
    signals_.async_wait([this](const asio::error_code& error, int signal) {
      if (error) return;
      if (signal != SIGCHLD) shutDown();
      reap();
      waitForSignal();
    });
  }

  void reap() {
    int status = 0;
    pid_t pid;
    while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      if (pid == server_.pid || pid == hollow_.pid) {
        Supervised& process = pid == server_.pid ? server_ : hollow_;
        if (!stopping_) logWarning(process.name + "_ended", {{"exit_code", code}});
        gone(process, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        continue;
      }
      for (auto& [name, node] : nodes_) {
        if (node.pid != pid) continue;
        logInfo("node_ended", {{"node", name}, {"exit_code", code}});
        node.pid = 0;
        ++node.restarts;
        underlay_->disconnect(node.index);
        removeNodeCgroups(name);
        // A fault that was over before the node was.
        if (Status started = enforceLife(node); !started.ok())
          logError("node_not_started", {{"node", name}, {"error", started}});
      }
    }
    ended_.notifyAll();
    if (stopping_ && pid < 0 && errno == ECHILD) io_.stop();
  }

  /// The nodes first, then the server, so that the last statuses are stored.
  void shutDown() {
    if (stopping_) return;
    stopping_ = true;
    faults_.stop();  // what is frozen cannot end
    clock_->scheduleIn(kShutdownGrace, [this] { io_.stop(); });
    tasks_.spawn("shut down", stopAll());
  }

  Co<void> stopAll() {
    const auto anyNode = [this] {
      return std::any_of(nodes_.begin(), nodes_.end(),
                         [](const auto& entry) { return entry.second.pid != 0; });
    };
    for (auto& [name, node] : nodes_) {
      if (node.pid != 0) ::kill(node.pid, SIGTERM);
    }
    if (hollow_.pid != 0) ::kill(hollow_.pid, SIGTERM);
    while (anyNode() || hollow_.pid != 0) co_await ended_.wait();
    if (server_.pid != 0) {
      ::kill(server_.pid, SIGTERM);
    } else {
      io_.stop();
    }
  }

  Co<Status> stopNode(std::string name, int signal) {
    auto it = nodes_.find(name);
    if (it->second.pid == 0) co_return Status(Code::kConflict, "node " + name + " is not running");
    if (Status status = faults_.spare(FaultKind::kNodeFreeze, name); !status.ok()) co_return status;
    ::kill(it->second.pid, signal);
    const MonoTime deadline = clock_->now() + kShutdownGrace;
    while (it->second.pid != 0) {
      if (!co_await ended_.waitUntil(*clock_, deadline)) ::kill(it->second.pid, SIGKILL);
    }
    co_return Status();
  }

  Status addNode(const NodeConfig& config) {
    if (nodes_.contains(config.name()))
      return Status(Code::kAlreadyExists, "node " + config.name() + " already exists");
    Cluster changed = cluster_;
    *changed.add_nodes() = config;
    if (auto causes = validateCluster(changed, {}); !causes.empty()) {
      return Status(Code::kInvalid, causes.front().field + ": " + causes.front().message, causes);
    }
    if (Status status = adopt(config); !status.ok()) return status;
    Status status = store(std::move(changed));
    if (status.ok()) status = faults_.refresh();
    if (status.ok()) status = startNode(nodes_.at(config.name()));
    if (!status.ok()) (void)forget(config.name());
    return status;
  }

  Status forget(const std::string& name) {
    Cluster changed = cluster_;
    auto& nodes = *changed.mutable_nodes();
    nodes.erase(std::remove_if(nodes.begin(), nodes.end(),
                               [&](const NodeConfig& node) { return node.name() == name; }),
                nodes.end());
    // What the timeline would do to this node alone goes with it.
    dropBrokenFaults(changed);
    if (Status status = store(std::move(changed)); !status.ok()) return status;
    nodes_.erase(name);
    if (Status status = faults_.forget(name); !status.ok())
      logWarning("faults_not_enforced", {{"error", status}});
    return files_->removeTree(options_.paths.node(name));
  }

  Status store(Cluster changed) {
    Status status = files_->writeFileAtomic(options_.paths.clusterFile(), formatCluster(changed));
    if (status.ok()) cluster_ = std::move(changed);
    return status;
  }

  Co<Status> act(const LabRequest& request) {
    const auto known = [this](const std::string& name) {
      return nodes_.contains(name)
                 ? Status()
                 : Status(Code::kNotFound,
                          "node \"" + name + "\" not found in lab " + cluster_.name());
    };
    switch (request.action_case()) {
      case LabRequest::kStatus:
        co_return Status();
      case LabRequest::kStop:
        shutDown();
        co_return Status();
      case LabRequest::kAddNode:
        co_return addNode(request.addnode());
      case LabRequest::kStopNode: {
        Status status = known(request.stopnode());
        if (status.ok()) status = co_await stopNode(request.stopnode(), SIGTERM);
        co_return status;
      }
      case LabRequest::kKillNode: {
        Status status = known(request.killnode());
        if (status.ok()) status = co_await stopNode(request.killnode(), SIGKILL);
        co_return status;
      }
      case LabRequest::kStartNode: {
        if (Status status = known(request.startnode()); !status.ok()) co_return status;
        NodeState& node = nodes_.at(request.startnode());
        if (node.pid != 0)
          co_return Status(Code::kConflict, "node " + request.startnode() + " is already running");
        // A machine that was switched on does not hang.
        if (Status status = faults_.spare(FaultKind::kNodeFreeze, request.startnode());
            !status.ok())
          co_return status;
        co_return node.killedByFault ? faults_.spare(FaultKind::kNodeKill, request.startnode())
                                     : startNode(node);
      }
      case LabRequest::kRemoveNode: {
        Status status = known(request.removenode());
        if (status.ok() && nodes_.at(request.removenode()).pid != 0)
          status = co_await stopNode(request.removenode(), SIGTERM);
        if (status.ok()) status = forget(request.removenode());
        co_return status;
      }
      default:
        break;
    }
    co_return Status(Code::kBadRequest,
                     "this lab runs another version of podlab and does not know the request; "
                     "restart it with podlab down and podlab up");
  }

  Co<LabResponse> answer(LabRequest request) {
    LabResponse response;
    Status status;
    if (isFaultRequest(request)) {
      status = stopping_ ? Status(Code::kUnavailable, "the lab is stopping")
                         : answerFaultRequest(faults_, *clock_, cluster_, request, response);
      while (anyDies()) co_await ended_.wait();
    } else {
      status = co_await act(request);
    }
    if (!status.ok()) {
      response.set_error(status.message());
      response.set_errorcode(std::string(codeName(status.code())));
    }
    for (const auto& [name, node] : nodes_) {
      auto* out = response.add_nodes();
      out->set_name(name);
      out->set_running(node.pid != 0);
      out->set_pid(node.pid);
      out->set_restarts(node.restarts);
      out->set_bootid(node.bootId);
      for (const auto& address : underlay_->nodeAddresses(node.index))
        out->add_addresses(address.toString());
    }
    if (request.has_status()) listFaults(faults_, *clock_, response);
    if (hollowNodes_ > 0) {
      auto& hollow = *response.mutable_hollow();
      hollow.set_running(hollow_.pid != 0);
      hollow.set_pid(hollow_.pid);
      hollow.set_nodes(hollowNodes_);
      hollow.set_restarts(hollow_.restarts);
      hollow.set_bootid(hollowBootId_);
    }
    response.set_serverrunning(server_.pid != 0);
    response.set_serverrestarts(server_.restarts);
    co_return response;
  }

  LabOptions options_;
  asio::io_context io_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Rng> rng_;
  std::unique_ptr<Filesystem> files_;
  asio::signal_set signals_;
  TaskGroup tasks_;
  WaitQueue ended_;

  Cgroups cgroups_ = Cgroups::find();
  UniqueFd lock_;
  Cluster cluster_;
  std::unique_ptr<Underlay> underlay_;
  std::unique_ptr<Pki> pki_;
  UniqueFd podApiSocket_;
  UniqueFd agentSocket_;
  Supervised server_{"server", [this] { startServer(); }};
  Supervised hollow_{"hollow", [this] { startHollow(); }};
  int hollowNodes_ = 0;
  std::string hollowBootId_;  ///< of the last start
  std::map<std::string, NodeState> nodes_;
  bool stopping_ = false;
  NodeFreezer freezer_;
  FaultEffects effects_;
  FaultBoard faults_;
};

}  // namespace

int runLab(LabOptions options) {
  return Lab(std::move(options)).run();
}

}  // namespace podlab::lab
