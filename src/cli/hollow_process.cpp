#include "cli/hollow_process.hpp"

#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include <asio.hpp>

#include "cli/executable.hpp"
#include "cli/process_setup.hpp"
#include "client/connection.hpp"
#include "client/remote_api.hpp"
#include "common/filesystem.hpp"
#include "common/real_clock.hpp"
#include "common/rng.hpp"
#include "common/sync.hpp"
#include "lab/cluster_config.hpp"
#include "lab/hollow_config.hpp"
#include "node/shared_limits.hpp"
#include "sim/hollow_node.hpp"
#include "transport/tcp.hpp"
#include "transport/tls.hpp"

namespace podlab::cli {
namespace {

constexpr Duration kPatience = std::chrono::seconds(10);

/// Nothing that the server could ask of a hollow node is there.
Co<Status> refuse(std::string method) {
  const std::string what =
      method == "logs"                         ? "its containers are simulated and write no logs"
      : method == "portforward"                ? "its pods are simulated and listen on no port"
      : method == "exec" || method == "attach" ? "its containers are simulated and run no program"
                                               : "there is nothing to measure";
  co_return Status(Code::kMethodNotAllowed, "the node is hollow: " + what);
}

sim::HollowNodeOptions optionsOf(const lab::HollowMember& member,
                                 const std::vector<net::Cidr>& podRanges,
                                 const std::string& bootId) {
  sim::HollowNodeOptions options;
  options.name = member.name;
  options.labels = member.labels;
  options.taints = {member.group->taints().begin(), member.group->taints().end()};
  options.capacity = {{"cpu", member.group->cpu().string()},
                      {"memory", member.group->memory().string()},
                      {"pods", std::to_string(member.group->maxpods())}};
  options.addresses = member.addresses;
  options.clusterRanges = podRanges;
  options.version = "podlab-" + versionText();
  options.bootId = bootId;
  options.behaviour = lab::readBehaviour(member.group->behaviour());
  options.agentsComeBack = false;
  return options;
}

class HollowProcess {
 public:
  explicit HollowProcess(HollowProcessOptions options)
      : options_(std::move(options)),
        executor_(io_.get_executor()),
        clock_(makeRealClock(executor_)),
        rng_(makeSystemRng()),
        files_(makeRealFilesystem()) {}

  int run() { return runProcess(io_, serve(), "hollow_failed"); }

 private:
  struct Member {
    Member(HollowProcess& process, client::ReconnectingConnection& connection,
           sim::HollowNodeOptions options)
        : api(connection, *process.clock_, kPatience, options.name),
          node({process.executor_, *process.clock_, *process.rng_, api}, std::move(options)) {}
    client::RemoteApi api;
    sim::HollowNode node;
  };

  Co<Status> serve() {
    auto text = files_->readFile(options_.clusterFile);
    if (!text) co_return text.status();
    auto cluster = lab::parseCluster(*text);
    if (!cluster) co_return cluster.status().withContext(options_.clusterFile);
    std::vector<net::Cidr> podRanges;
    for (const auto& range : cluster->networking().podcidrs()) {
      auto parsed = net::Cidr::parse(range);
      if (!parsed) co_return parsed.status().withContext(options_.clusterFile);
      podRanges.push_back(*parsed);
    }
    auto certificates = readCertificates(*files_, options_.pkiDir, "node");
    if (!certificates) co_return certificates.status();
    auto tls = transport::makeClientTls(certificates->ca, certificates->own);
    if (!tls) co_return tls.status();
    transport::offerRpc(**tls);
    auto tcp = transport::makeTcpDialer(executor_, *clock_);
    auto dialer = transport::makeTlsDialer(*tcp, *clock_, *tls, transport::kServerName);
    client::ReconnectingConnection::Options connectionOptions;
    connectionOptions.address = options_.server;
    connectionOptions.handler = [](rpc::Connection&, rpc::Stream& stream) {
      return refuse(stream.method());
    };
    client::ReconnectingConnection connection(executor_, *clock_, *rng_, *dialer,
                                              std::move(connectionOptions));
    connection.start();

    const auto limits = std::make_shared<node::SharedLimits>();
    std::vector<std::unique_ptr<Member>> members;
    for (const auto& member : lab::hollowNodes(*cluster)) {
      auto nodeOptions = optionsOf(member, podRanges, options_.bootId);
      nodeOptions.limits = limits;
      members.push_back(std::make_unique<Member>(*this, connection, std::move(nodeOptions)));
      members.back()->node.start();
    }
    co_await waitForTermination();

    TaskGroup ends(executor_);
    for (const auto& member : members) ends.spawn("end", member->node.stop());
    co_await ends.join();
    co_await connection.stop();
    co_return Status();
  }

  HollowProcessOptions options_;
  asio::io_context io_;
  asio::any_io_executor executor_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Rng> rng_;
  std::unique_ptr<Filesystem> files_;
};

}  // namespace

int runHollow(HollowProcessOptions options) {
  // Of thousands of nodes only what is wrong, unless more is asked for.
  const bool quiet = options.logLevel == "info";
  initLogging(logLevelOf(quiet ? "warn" : options.logLevel), LogFormat::kText, "hollow");
  return HollowProcess(std::move(options)).run();
}

}  // namespace podlab::cli
