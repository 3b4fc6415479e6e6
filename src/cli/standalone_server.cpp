#include "cli/standalone_server.hpp"

#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>

#include <asio/io_context.hpp>

#include "cli/hosts_plan.hpp"
#include "cli/node_address.hpp"
#include "common/filesystem.hpp"
#include "common/real_clock.hpp"
#include "common/unix_socket.hpp"
#include "lab/cluster_config.hpp"
#include "lab/lab_state.hpp"
#include "lab/pki.hpp"
#include "net/routing.hpp"
#include "net/underlay.hpp"
#include "transport/tcp.hpp"

namespace podlab::cli {
namespace {

constexpr std::uint16_t kPort = 6443;

/// The cluster as it is stored.
Result<lab::Cluster> wantedCluster(Filesystem& files, const Context& context,
                                   const std::string& file) {
  lab::Cluster cluster;
  if (!file.empty()) {
    auto text = files.readFile(file);
    if (!text) return text.status();
    auto parsed = lab::parseCluster(*text);
    if (!parsed) return parsed.status().withContext(file);
    cluster = std::move(*parsed);
  }
  cluster.set_name(context.lab);
  const bool mtuGiven = cluster.networking().has_mtu();
  lab::applyClusterDefaults(cluster);
  if (auto causes = lab::validateCluster(cluster, {}); !causes.empty()) {
    std::string message =
        "the cluster file is invalid: " + causes.front().field + ": " + causes.front().message;
    return Status(Code::kInvalid, std::move(message), std::move(causes));
  }
  // Each machine's link has its own.
  if (!mtuGiven) cluster.mutable_networking()->clear_mtu();
  return lab::serverPart(std::move(cluster));
}

/// The stored cluster, or the wanted one, which is stored.
Result<lab::Cluster> takeCluster(Filesystem& files, const Context& context,
                                 const lab::LabPaths& paths, const std::string& file) {
  auto wanted = wantedCluster(files, context, file);
  if (!wanted) return wanted;
  if (!files.exists(paths.clusterFile())) {
    if (Status status = storeHostsCluster(files, paths, *wanted); !status.ok()) return status;
    return wanted;
  }
  if (!files.exists(paths.standalone())) {
    return Status(Code::kAlreadyExists,
                  "\"" + context.lab + "\" is a lab of this host (podlab up); give the server " +
                      "another name by --name, or delete the lab: podlab down --purge" +
                      nameFlag(context));
  }
  auto text = files.readFile(paths.clusterFile());
  if (!text) return text.status();
  auto stored = lab::parseCluster(*text);
  if (!stored) return stored.status().withContext(paths.clusterFile());
  if (!file.empty() &&
      lab::formatCluster(lab::serverPart(*stored)) != lab::formatCluster(*wanted)) {
    return Status(Code::kConflict, "the server \"" + context.lab +
                                       "\" exists with another cluster file; delete it first: "
                                       "podlab down --purge" +
                                       nameFlag(context));
  }
  return stored;
}

/// "host:port" of --advertise, or of the default route's link.
Result<transport::HostPort> advertised(net::NetlinkSocket& socket, const std::string& flag) {
  if (flag.empty()) {
    auto underlay = net::findUnderlay(socket, std::nullopt);
    if (!underlay) {
      return Status(underlay.status().code(),
                    "no address for other machines to find this server by; give one by "
                    "--advertise: " +
                        underlay.status().message());
    }
    return transport::HostPort{underlay->addresses.front().toString(), kPort};
  }
  if (net::IpAddress::parse(flag) || flag.find(':') == std::string::npos)
    return transport::HostPort{flag, kPort};
  auto given = transport::splitHostPort(flag);
  if (!given) return given.status().withContext("--advertise");
  return given;
}

void nameServer(const std::string& name, ServerOptions& options) {
  (net::IpAddress::parse(name) ? options.serverAddresses : options.serverNames).push_back(name);
}

std::string hostName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

void takeNetworking(const lab::Cluster& cluster, ServerOptions& options) {
  const auto& network = cluster.networking();
  options.podCidrs = {network.podcidrs().begin(), network.podcidrs().end()};
  options.nodePrefixV4 = network.nodeprefixipv4();
  options.nodePrefixV6 = network.nodeprefixipv6();
  options.schedulerProfiles = lab::schedulerProfiles(cluster);
  auto& settings = options.nodeSettings;
  *settings.mutable_podcidrs() = network.podcidrs();
  settings.set_backend(network.backend());
  settings.set_vxlanid(network.vxlanid());
  settings.set_vxlanport(network.vxlanport());
  if (network.has_mtu()) settings.set_mtu(network.mtu());
  settings.set_missingimages(cluster.images().missing());
  settings.set_apiaddress(options.advertise);
}

}  // namespace

Result<StandaloneServer> prepareStandalone(Context& context, const StandaloneFlags& flags,
                                           ServerOptions& options) {
  const auto duration = parseDuration(flags.signingDuration);
  if (!duration || *duration < std::chrono::seconds(1)) {
    return Status(Code::kBadRequest, "--cluster-signing-duration: \"" + flags.signingDuration +
                                         "\" is not a duration of at least 1s, such as 8760h");
  }
  options.signingDuration = *duration;
  auto paths = lab::labPaths(context.lab);
  if (!paths) return paths.status();
  auto files = makeRealFilesystem();
  auto cluster = takeCluster(*files, context, *paths, flags.file);
  if (!cluster) return cluster.status();
  StandaloneServer held;
  auto lock = lab::lockLab(*paths);
  if (!lock) return lock.status();
  held.lock = std::move(*lock);

  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  auto place = advertised(*socket, flags.advertise);
  if (!place) return place.status();
  options.advertise = transport::joinHostPort(place->host, place->port);
  if (options.listen.empty()) options.listen = {":" + std::to_string(place->port)};
  auto own = ownAddresses();
  if (!own) return own.status();
  for (const auto& address : *own) nameServer(address.toString(), options);
  for (const auto& name : flags.tlsSans) nameServer(name, options);
  nameServer(place->host, options);
  if (const std::string name = hostName(); !name.empty()) nameServer(name, options);

  const std::string pki = paths->root + "/pki";
  auto rng = makeSystemRng();
  asio::io_context io;
  const auto clock = makeRealClock(io.get_executor());
  auto made = lab::Pki::open(*files, pki, clock->wallNow(), *rng, options.serverNames,
                             options.serverAddresses);
  if (!made) return made.status();
  Status status = files->createDirectories(paths->server(), 0700);
  if (status.ok()) status = files->writeFileAtomic(paths->apiAddress(), options.advertise, 0644);
  if (!status.ok()) return status;
  auto admin = listenOnUnixSocket(paths->adminSocket());
  if (!admin) return admin.status();
  held.adminSocket = std::move(*admin);

  options.stateDir = paths->server();
  options.pkiDir = pki;
  options.adminFd = held.adminSocket.get();
  options.controlSocket = paths->controlSocket();
  options.apiAddress = options.advertise;
  takeNetworking(*cluster, options);
  return held;
}

}  // namespace podlab::cli
