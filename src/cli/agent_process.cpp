#include "cli/agent_process.hpp"

#include <sys/stat.h>

#include <memory>

#include <asio.hpp>

#include "api/quantity.hpp"
#include "cli/agent_cleanup.hpp"
#include "cli/context.hpp"
#include "cli/executable.hpp"
#include "cli/node_address.hpp"
#include "cli/node_membership.hpp"
#include "cli/process_setup.hpp"
#include "client/connection.hpp"
#include "client/remote_api.hpp"
#include "common/blocking.hpp"
#include "common/process.hpp"
#include "common/real_clock.hpp"
#include "node/agent.hpp"
#include "node/checkpoint.hpp"
#include "node/kernel_dataplane.hpp"
#include "node/kernel_pod_dialer.hpp"
#include "node/local_volumes.hpp"
#include "node/node_status.hpp"
#include "node/oci_runtime.hpp"
#include "node/stored_images.hpp"
#include "node/streams.hpp"
#include "transport/tcp.hpp"
#include "transport/tls.hpp"

namespace podlab::cli {
namespace {

/// Makes sandboxes and writes checkpoints side by side; more threads only wait for the kernel's
/// locks.
constexpr std::size_t kThreads = 3;
constexpr Duration kLastRetry = std::chrono::seconds(5);

Result<corev1::Taint> parseTaint(const std::string& text) {
  const auto colon = text.rfind(':');
  const auto equals = text.find('=');
  if (colon == std::string::npos)
    return Status(Code::kBadRequest, "--taint: \"" + text + "\" is not KEY=VALUE:EFFECT");
  corev1::Taint taint;
  taint.set_key(text.substr(0, std::min(equals, colon)));
  if (equals < colon) taint.set_value(text.substr(equals + 1, colon - equals - 1));
  taint.set_effect(text.substr(colon + 1));
  return taint;
}

class AgentProcess {
 public:
  explicit AgentProcess(AgentProcessOptions options)
      : options_(std::move(options)),
        executor_(io_.get_executor()),
        clock_(makeRealClock(executor_)),
        rng_(makeSystemRng()),
        files_(makeRealFilesystem()),
        pool_(makeThreadPool(kThreads)),
        processes_(makeProcessRunner(executor_, *clock_)) {}

  int run() { return runProcess(io_, main(), "agent_failed"); }

 private:
  Result<node::AgentOptions> agentOptions() {
    node::AgentOptions agent;
    agent.nodeName = options_.name;
    for (const auto& label : options_.labels) {
      const auto equals = label.find('=');
      if (equals == std::string::npos)
        return Status(Code::kBadRequest, "--label: \"" + label + "\" is not KEY=VALUE");
      agent.labels[label.substr(0, equals)] = label.substr(equals + 1);
    }
    for (const auto& text : options_.taints) {
      auto taint = parseTaint(text);
      if (!taint) return taint.status();
      agent.taints.push_back(std::move(*taint));
    }
    agent.capacity = node::readCapacity(*files_);
    if (!options_.cpu.empty()) agent.capacity["cpu"] = options_.cpu;
    if (!options_.memory.empty()) agent.capacity["memory"] = options_.memory;
    agent.capacity["pods"] = std::to_string(options_.maxPods);
    agent.system = node::readSystemInfo(*files_);
    if (!options_.bootId.empty()) agent.system.set_bootid(options_.bootId);
    agent.system.set_kubeletversion("podlab-" + versionText());
    agent.stateFolder = options_.stateDir;
    agent.volumesFolder = options_.volumesDir;
    for (const auto& text : options_.podCidrs) {
      auto range = net::Cidr::parse(text);
      if (!range) return range.status().withContext("--pod-cidrs");
      agent.clusterRanges.push_back(*range);
    }
    agent.backend = options_.backend;
    agent.vxlanPort = static_cast<std::uint16_t>(options_.vxlanPort);
    agent.cgroups = {Cgroups::find(), options_.cgroup};
    auto thresholds = node::parseThresholds(options_.evictionHard);
    if (!thresholds) return thresholds.status().withContext("--eviction-hard");
    const auto memory = api::Quantity::parse(agent.capacity["memory"]).valueOr({}).value();
    agent.pressure = [this, limits = *thresholds, cgroups = agent.cgroups, memory] {
      const auto signals = node::readSignals(*files_, options_.stateDir, cgroups, memory);
      return node::judgePressure(signals, limits);
    };
    if (options_.podPidsLimit > 0) agent.podPidsLimit = options_.podPidsLimit;
    agent.limitsMissing = options_.cgroup.empty() ? "the agent was started without --cgroup"
                                                  : agent.cgroups.cgroups.reason();
    auto program = executablePath();
    if (!program) return program.status();
    agent.standInProgram = *program;
    agent.apiServer = options_.apiAddress;
    return agent;
  }

  Co<Status> main() {
    if (!options_.join.empty()) {
      if (Status status = co_await becomeMember(); !status) co_return status;
    }
    Status status;
    // Pods outlive their agent: with another address, the node begins anew.
    do {
      again_ = false;
      status = co_await serve();
    } while (status.ok() && again_);
    co_return status;
  }

  /// Takes part in the cluster, joining it the first time.
  Co<Status> becomeMember() {
    auto taken = co_await takeMembership(executor_, *clock_, *files_, options_, std::nullopt);
    if (!taken) co_return taken.status();
    membership_ = std::move(*taken);
    options_.server = options_.join;
    const auto& settings = membership_.settings;
    options_.podCidrs = {settings.podcidrs().begin(), settings.podcidrs().end()};
    options_.backend = settings.backend();
    options_.vxlanId = settings.vxlanid();
    options_.vxlanPort = settings.vxlanport();
    if (settings.has_mtu()) options_.underlayMtu = settings.mtu();
    options_.apiAddress = settings.apiaddress();
    options_.missingImages = settings.missingimages();
    co_return Status();
  }

  /// What the flags say, or the way to the server does; waits until there is a way.
  Co<Status> chooseAddress(std::optional<net::IpAddress>& chosen) {
    if (!options_.nodeIps.empty()) {
      auto address = net::IpAddress::parse(options_.nodeIps.front());
      if (!address) co_return address.status().withContext("--node-ip");
      chosen = *address;
      co_return Status();
    }
    for (bool told = false;; told = true) {
      auto found = co_await nodeAddress(options_.server, options_.underlay);
      if (found) {
        chosen = *found;
        co_return Status();
      }
      if (!found.status().is(Code::kUnavailable)) co_return found.status();
      if (!told) logWarning("no_node_address", {{"error", found.status()}});
      co_await clock_->sleepFor(kLastRetry);
    }
  }

  /// Begins anew when the way to the server starts at another address than before.
  Co<Status> heedAddress(node::Agent& agent) {
    if (options_.join.empty() || !options_.nodeIps.empty()) co_return Status();
    auto now = co_await nodeAddress(options_.server, options_.underlay);
    if (now && *now != nodeIp_) {
      logWarning("node_address_changed", {{"from", nodeIp_->toString()}, {"to", now->toString()}});
      again_ = true;
      agent.requestStop();
    }
    co_return Status();
  }

  /// Renews the certificate in time.
  Co<void> keepCertificate(client::ReconnectingConnection& connection, transport::TlsContext& tls) {
    for (;;) {
      auto info = transport::inspectCertificate(membership_.own.certificatePem);
      if (info) co_await sleepUntil(*clock_, transport::rotationTime(*info, *rng_));
      Status renewed = info.status();
      if (renewed) {
        auto live = co_await connection.get(clock_->now() + kLastRetry);
        renewed = live.status();
        if (live) {
          renewed = co_await renewMembership(**live, *clock_, *files_, options_.membershipFolder(),
                                             membership_);
        }
      }
      if (renewed) renewed = transport::useCredentials(tls, membership_.own);
      if (renewed) {
        logInfo("certificate_renewed");
      } else {
        logWarning("certificate_not_renewed", {{"error", renewed}});
        co_await clock_->sleepFor(kLastRetry);
      }
    }
  }

  Result<std::shared_ptr<transport::TlsContext>> clientTls() {
    Result<std::shared_ptr<transport::TlsContext>> tls = Status(Code::kInternal, "no certificate");
    if (options_.join.empty()) {
      auto certificates = readCertificates(*files_, options_.pkiDir, "node");
      if (!certificates) return certificates.status();
      tls = transport::makeClientTls(certificates->ca, certificates->own);
    } else {
      tls = transport::makeClientTls(membership_.caPem, membership_.own);
    }
    if (tls) transport::offerRpc(**tls);
    return tls;
  }

  Co<Status> serve() {
    auto agentSettings = agentOptions();
    if (!agentSettings) co_return agentSettings.status();
    if (!options_.join.empty()) {
      if (Status fits = checkPodRanges(agentSettings->clusterRanges); !fits) co_return fits;
    }
    auto tls = clientTls();
    if (!tls) co_return tls.status();

    Status made = makeFolderOfUnrelated(*files_, node::PodFolder::parent(options_.stateDir));
    if (!made) co_return made;

    node::KernelDataplaneOptions network;
    network.pinFolder = options_.pinFolder();
    network.sysctlFile = options_.sysctlFile();
    network.vxlanId = static_cast<std::uint32_t>(options_.vxlanId);
    network.vxlanPort = static_cast<std::uint16_t>(options_.vxlanPort);
    network.underlayMtu = options_.underlayMtu;
    if (Status chosen = co_await chooseAddress(nodeIp_); !chosen) co_return chosen;
    network.nodeIp = nodeIp_;
    node::KernelDataplane dataplane(std::move(network), *pool_, *clock_, executor_);
    if (Status status = co_await dataplane.start(); !status.ok()) co_return status;

    node::OciRuntimeOptions runtimeOptions;
    runtimeOptions.stateFolder = options_.containersFolder();
    runtimeOptions.diskFolder = options_.rootfsFolder();
    runtimeOptions.runtime = options_.runtime;
    runtimeOptions.seccompFolder = options_.stateDir + "/seccomp";
    runtimeOptions.cgroups = agentSettings->cgroups;
    runtimeOptions.nodeLimits = node::nodeLimits(options_.cpu, options_.memory);
    auto logSize = api::Quantity::parse(options_.logMaxSize);
    if (!logSize) co_return logSize.status().withContext("--container-log-max-size");
    runtimeOptions.logLimits = {static_cast<std::uint64_t>(logSize->value()),
                                static_cast<std::uint64_t>(options_.logMaxFiles)};
    auto runtime = node::makeOciRuntime(executor_, *clock_, *files_, *processes_, *pool_,
                                        std::move(runtimeOptions));
    if (Status status = co_await runtime->open(); !status.ok()) co_return status;
    node::StoredImages images(*files_, {options_.imageStore, options_.missingImages == "stand-in"});
    auto volumes =
        node::makeLocalVolumes(*files_, *pool_, *clock_, options_.stateDir, options_.runDir);
    auto podDialer = node::makeKernelPodDialer(executor_, *pool_);

    auto tcp = transport::makeTcpDialer(executor_, *clock_);
    auto dialer = transport::makeTlsDialer(*tcp, *clock_, *tls, transport::kServerName);
    std::unique_ptr<node::Agent> agent;
    client::ReconnectingConnection::Options connectionOptions;
    connectionOptions.address = options_.server;
    connectionOptions.handler = node::makeStreamHandler(agent);
    connectionOptions.onConnect = [this, &agent](rpc::Connection&) { return heedAddress(*agent); };
    client::ReconnectingConnection connection(executor_, *clock_, *rng_, *dialer,
                                              std::move(connectionOptions));
    client::RemoteApi api(connection, *clock_);
    const node::AgentDependencies dependencies{executor_,  *clock_,  *rng_,  api,
                                               dataplane,  *runtime, images, *volumes,
                                               *podDialer, *files_,  *pool_};
    agent = std::make_unique<node::Agent>(dependencies, std::move(*agentSettings));
    connection.start();

    TaskGroup tasks(executor_);
    tasks.spawn("termination", stopOnSignal(*agent));
    if (!options_.join.empty()) tasks.spawn("certificate", keepCertificate(connection, **tls));
    Status status = co_await agent->run();
    co_await tasks.cancelAndJoin();
    co_await connection.stop();
    agent.reset();
    co_await dataplane.stop();
    co_return status;
  }

  static Co<void> stopOnSignal(node::Agent& agent) {
    co_await waitForTermination();
    agent.requestStop();
  }

  AgentProcessOptions options_;
  Membership membership_;  ///< when joined
  std::optional<net::IpAddress> nodeIp_;
  bool again_ = false;
  asio::io_context io_;
  asio::any_io_executor executor_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Rng> rng_;
  std::unique_ptr<Filesystem> files_;
  std::unique_ptr<BlockingPool> pool_;
  std::unique_ptr<ProcessRunner> processes_;
};

}  // namespace

int runAgent(AgentProcessOptions options) {
  initLogging(logLevelOf(options.logLevel), LogFormat::kText, "agent " + options.name);
  ::umask(022);  // programs of every user read what is made for containers
  UniqueFd lock;
  if (!options.join.empty()) {
    auto taken = lockNode(options);
    if (!taken) return fail(taken.status());
    lock = std::move(*taken);
  }
  return AgentProcess(std::move(options)).run();
}

}  // namespace podlab::cli
