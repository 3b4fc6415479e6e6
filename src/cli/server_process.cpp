#include "cli/server_process.hpp"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <memory>

#include <asio.hpp>

#include "apiserver/api_service.hpp"
#include "apiserver/identity.hpp"
#include "apiserver/metrics.hpp"
#include "apiserver/node_join.hpp"
#include "apiserver/rest_server.hpp"
#include "apiserver/rpc_server.hpp"
#include "apiserver/stream_relay.hpp"
#include "cli/executable.hpp"
#include "cli/kubeconfig.hpp"
#include "cli/pod_routes.hpp"
#include "cli/process_setup.hpp"
#include "cli/scheduler_profiles.hpp"
#include "client/modify.hpp"
#include "common/real_clock.hpp"
#include "common/sync.hpp"
#include "controllers/controller_manager.hpp"
#include "lab/control.hpp"
#include "lab/pki.hpp"
#include "store/sqlite_store.hpp"
#include "transport/tcp.hpp"
#include "transport/tls.hpp"
#include "transport/unix.hpp"

namespace podlab::cli {
namespace {

/// Open files that are not connections of REST clients: agents', the store's, handshakes.
constexpr rlim_t kReservedFiles = 2048;

class Server {
 public:
  explicit Server(const ServerOptions& options)
      : options_(options),
        executor_(io_.get_executor()),
        clock_(makeRealClock(executor_)),
        rng_(makeSystemRng()),
        files_(makeRealFilesystem()) {}

  int run() {
    asio::co_spawn(io_, main(), [this](std::exception_ptr error) {
      if (!error) return;
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& e) {
        logError("server_failed", {{"error", e.what()}});
        code_ = 1;
      }
      io_.stop();
    });
    io_.run();
    return code_;
  }

 private:
  Co<void> main() {
    Status status = co_await serve();
    if (!status.ok()) {
      logError("server_failed", {{"error", status}});
      code_ = 1;
    }
  }

  Status listen(apiserver::RpcServer& rpc, apiserver::RestServer& rest) {
    auto certificates = readCertificates(*files_, options_.pkiDir, "server");
    if (!certificates) return certificates.status();
    auto tls = transport::makeServerTls(certificates->ca, certificates->own);
    if (!tls) return tls.status();
    tls_ = std::move(*tls);
    const auto serveOn = [&](Result<std::unique_ptr<Listener>> listener) -> Status {
      if (!listener) return listener.status();
      logInfo("listening", {{"address", (*listener)->address()}});
      auto ends = transport::makeTlsListeners(executor_, *clock_, std::move(*listener), tls_);
      rpc.serve(std::move(ends.rpc));
      rest.serve(std::move(ends.others));
      return {};
    };
    for (const int fd : options_.listenFds) {
      if (Status status = serveOn(transport::listenOnFd(executor_, UniqueFd(fd))); !status.ok())
        return status;
    }
    for (const auto& address : options_.listen) {
      if (Status status = serveOn(transport::listenTcp(executor_, address)); !status.ok())
        return status.withContext("--listen");
    }
    // Who may open the socket's file may read the administrator's key, too.
    if (options_.adminFd >= 0) {
      rpc.serve(transport::listenOnUnixFd(executor_, UniqueFd(options_.adminFd),
                                          {"podlab-admin", {std::string(apiserver::kMasters)}}));
    }
    return {};
  }

  /// As many as there may be open files, which are raised to what the host allows.
  static apiserver::ConnectionLimits connectionLimits() {
    apiserver::ConnectionLimits limits;
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return limits;
    files.rlim_cur = files.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &files);
    const rlim_t spare = files.rlim_max - std::min<rlim_t>(kReservedFiles, files.rlim_max / 2);
    limits.all = std::min<std::size_t>(limits.all, spare);
    limits.anonymous = std::min(limits.anonymous, limits.all / 2);
    limits.anonymousOfOneAddress = std::min(limits.anonymousOfOneAddress, limits.all / 4);
    return limits;
  }

  Result<std::vector<controllers::ClusterRange>> clusterRanges() {
    std::vector<controllers::ClusterRange> ranges;
    for (const auto& text : options_.podCidrs) {
      auto range = net::Cidr::parse(text);
      if (!range) return range.status().withContext("--pod-cidrs");
      const int prefix =
          range->family() == net::Family::kV4 ? options_.nodePrefixV4 : options_.nodePrefixV6;
      ranges.push_back({*range, prefix});
    }
    return ranges;
  }

  /// Services have addresses of the families that pods have.
  static apiserver::ApiOptions apiOptions(const std::vector<controllers::ClusterRange>& pods) {
    apiserver::ApiOptions options;
    options.serviceRanges.clear();
    for (const auto& [range, prefix] : pods) {
      const bool v4 = range.family() == net::Family::kV4;
      options.serviceRanges.push_back(
          *apiserver::ServiceRange::parse(v4 ? "10.96.0.0/16" : "fd00:10:96::/112"));
    }
    return options;
  }

  Status takeSigningKey(apiserver::ApiService& service) {
    auto pem = files_->readFile(options_.pkiDir + "/service-accounts.key");
    if (!pem) return pem.status();
    auto key = transport::SigningKey::load(*pem);
    if (!key) return key.status().withContext(options_.pkiDir + "/service-accounts.key");
    service.signTokensWith(std::move(*key));
    return {};
  }

  /// Lets machines join; they are told of by kube-public/cluster-info, as kubeadm's.
  Co<Status> offerJoining(apiserver::ApiService& service, apiserver::StreamRelay& relay,
                          apiserver::RpcServer& rpc, api::Api& system, std::string caPem) {
    auto key = files_->readFile(options_.pkiDir + "/ca.key");
    if (!key) co_return key.status();
    const transport::Credentials stored{caPem, std::move(*key)};
    auto authority = transport::CertificateAuthority::load(stored);
    if (!authority) co_return authority.status().withContext(options_.pkiDir);
    apiserver::NodeJoinOptions joinOptions;
    joinOptions.version = versionText();
    joinOptions.settings = options_.nodeSettings;
    joinOptions.certificateLife = options_.signingDuration;
    join_ = std::make_unique<apiserver::NodeJoin>(service, relay, std::move(*authority), *clock_,
                                                  *rng_, std::move(joinOptions));
    rpc.offer(*join_);
    co_return co_await publishClusterInfo(system, std::move(caPem));
  }

  Co<Status> publishClusterInfo(api::Api& system, std::string caPem) {
    auto text = clusterInfo("https://" + options_.advertise, caPem);
    if (!text) co_return text.status();
    auto object = std::make_shared<corev1::ConfigMap>();
    object->mutable_metadata()->set_name(kClusterInfo);
    object->mutable_metadata()->set_namespace_(kClusterInfoNamespace);
    (*object->mutable_data())["kubeconfig"] = *text;
    api::ResourceId id{&api::kindFor<corev1::ConfigMap>(), kClusterInfoNamespace, "", ""};
    api::WriteOptions writeOptions;
    auto created = co_await system.create(id, object, std::move(writeOptions));
    if (created || !created.status().is(Code::kAlreadyExists)) co_return created.status();
    id.name = kClusterInfo;
    client::Change change = [wanted = *text](google::protobuf::Message& message) {
      auto& present = (*static_cast<corev1::ConfigMap&>(message).mutable_data())["kubeconfig"];
      return std::exchange(present, wanted) != wanted;
    };
    auto changed = co_await client::modify(system, id, nullptr, std::move(change));
    co_return changed.status();
  }

  /// Renews the server's certificate in time: streams that begin afterwards see the new one.
  Co<void> keepCertificate() {
    for (;;) {
      auto present = readCertificates(*files_, options_.pkiDir, "server");
      auto info = present ? transport::inspectCertificate(present->own.certificatePem)
                          : Result<transport::CertificateInfo>(present.status());
      if (info) co_await sleepUntil(*clock_, transport::rotationTime(*info, *rng_));
      Status renewed = info.status();
      if (renewed.ok()) {
        renewed = files_->removeFile(options_.pkiDir + "/server.key");
        if (renewed.ok()) {
          renewed = lab::Pki::open(*files_, options_.pkiDir, clock_->wallNow(), *rng_,
                                   options_.serverNames, options_.serverAddresses)
                        .status();
        }
        if (renewed.ok()) {
          auto next = readCertificates(*files_, options_.pkiDir, "server");
          renewed = next ? transport::useCredentials(*tls_, next->own) : next.status();
        }
      }
      if (renewed.ok()) {
        logInfo("server_certificate_renewed");
      } else {
        logError("server_certificate_not_renewed", {{"error", renewed}});
        co_await clock_->sleepFor(std::chrono::minutes(1));
      }
    }
  }

  Co<lab::LabResponse> control(lab::LabRequest request) {
    lab::LabResponse response;
    if (request.has_stop()) {
      ::raise(SIGTERM);
    } else if (!request.has_status()) {
      response.set_error(
          "the nodes of this cluster are machines of their own, not processes of a lab; podlab "
          "token create says how one joins, podlab node rm removes one from the cluster");
    }
    response.set_apiaddress(options_.advertise);
    response.set_serverrunning(true);
    co_return response;
  }

  Co<void> serveControl() {
    const lab::ControlHandler handler = [this](lab::LabRequest request) {
      return control(std::move(request));
    };
    const Status status = co_await lab::serveControl(options_.controlSocket, handler);
    if (!status.is(Code::kCanceled)) logError("control_failed", {{"error", status}});
  }

  Co<Status> serve() {
    store::SqliteOptions options;
    options.clock = clock_.get();
    auto opened = store::openSqliteStore(executor_, options_.stateDir + "/podlab.db", options);
    if (!opened) co_return opened.status();
    const std::unique_ptr<store::Store> store = std::move(*opened);
    auto ranges = clusterRanges();
    if (!ranges) co_return ranges.status();
    apiserver::ApiService service(*store, *clock_, *rng_, executor_, apiOptions(*ranges));
    if (Status status = takeSigningKey(service); !status.ok()) co_return status;
    if (Status status = co_await service.start(); !status.ok()) co_return status;
    auto system = service.as(apiserver::systemUser("controllers"));
    apiserver::StreamRelay relay(service, *clock_, *rng_);
    apiserver::serveMetrics(service, *system, *clock_,
                            [&relay](std::string node) { return relay.usageOf(std::move(node)); });
    apiserver::RpcServer rpc(service, relay, *clock_, executor_);
    apiserver::RestServer rest(service, relay, *clock_, executor_, connectionLimits());

    controllers::ManagerOptions managerOptions;
    managerOptions.ranges = std::move(*ranges);
    auto rootCa = files_->readFile(options_.pkiDir + "/ca.crt");
    if (!rootCa) co_return rootCa.status();
    if (!options_.advertise.empty()) {
      Status offered = co_await offerJoining(service, relay, rpc, *system, *rootCa);
      if (!offered.ok()) co_return offered;
    }
    managerOptions.rootCa = std::move(*rootCa);
    managerOptions.apiAddress = options_.apiAddress;
    managerOptions.profiles = parseProfiles(options_.schedulerProfiles);
    controllers::ControllerManager manager(*system, *clock_, *rng_, executor_, managerOptions);
    std::optional<PodRoutes> routes;
    if (options_.podRoutes) routes.emplace(manager.nodes());
    manager.start();
    Status status = listen(rpc, rest);
    TaskGroup tasks(executor_);
    if (!options_.advertise.empty()) tasks.spawn("server certificate", keepCertificate());
    if (status.ok() && !options_.controlSocket.empty()) tasks.spawn("control", serveControl());
    if (status.ok()) co_await waitForTermination();

    co_await tasks.cancelAndJoin();
    co_await rest.stop();
    co_await rpc.stop();
    co_await manager.stop();
    co_await service.stop();
    co_await store->close();
    co_return status;
  }

  const ServerOptions& options_;
  asio::io_context io_;
  asio::any_io_executor executor_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Rng> rng_;
  std::unique_ptr<Filesystem> files_;
  std::shared_ptr<transport::TlsContext> tls_;
  std::unique_ptr<apiserver::NodeJoin> join_;
  int code_ = 0;
};

}  // namespace

int runServer(const ServerOptions& options) {
  initLogging(logLevelOf(options.logLevel), LogFormat::kText, "server");
  return Server(options).run();
}

}  // namespace podlab::cli
