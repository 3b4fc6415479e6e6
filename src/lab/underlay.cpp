#include "lab/underlay.hpp"

#include <fcntl.h>

#include <cerrno>
#include <string>

#include "common/unique_fd.hpp"
#include "net/link.hpp"
#include "net/namespaces.hpp"
#include "net/netlink_socket.hpp"
#include "net/nft_kernel.hpp"
#include "net/routing.hpp"

namespace podlab::lab {
namespace {

constexpr const char* kBridge = "underlay";
constexpr std::uint64_t kFirstNode = 10;
/// Locally administered, as no other link of the lab's namespace has it.
constexpr net::MacAddress kBridgeMac{{0x0a, 0x70, 0x6c, 0x00, 0x00, 0x01}};

/// A link of a trial, for a moment.
constexpr const char* kTrialLink = "fault-trial";

std::string portName(int index) {
  return "node" + std::to_string(index);
}

std::string namespaceOf(pid_t pid) {
  return "/proc/" + std::to_string(pid) + "/ns/net";
}

/// What the kernel's refusal of the switch's table means.
Status explainTable(Status status) {
  if (!status.is(Code::kNotFound) && !status.is(Code::kHostUnsupported)) return status;
  return Status(Code::kHostUnsupported,
                "not on this kernel: nftables on bridges, with numgen (" + status.message() +
                    "); remedy: as root, modprobe nf_tables nft_numgen nft_meta_bridge, or a "
                    "kernel with CONFIG_NF_TABLES_BRIDGE and CONFIG_NFT_NUMGEN");
}

Status setUp(net::NetlinkSocket& socket, const std::string& name, bool up) {
  auto link = net::findLink(socket, name);
  if (!link) return link.status();
  if (!*link) return {};  // with its node, which has ended
  net::LinkSettings settings;
  settings.up = up;
  return socket.executeAll(net::adjustLink(**link, settings));
}

/// Gives the link its addresses and raises it.
Status configure(net::NetlinkSocket& socket, const std::string& name,
                 const std::vector<net::IpAddress>& addresses,
                 const std::vector<net::Cidr>& ranges) {
  auto link = net::findLink(socket, name);
  if (!link) return link.status();
  if (!*link) return Status(Code::kNotFound, "link " + name + " is not there");
  std::vector<net::NetlinkMessage> requests;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    net::LinkAddress address;
    address.linkIndex = (*link)->index;
    address.address = addresses[i];
    address.prefix = ranges[i].prefix();
    requests.push_back(net::addAddress(address, true));
  }
  net::LinkSettings settings;
  settings.up = true;
  for (auto& request : net::adjustLink(**link, settings)) requests.push_back(std::move(request));
  return socket.executeAll(std::move(requests));
}

/// Where br_netfilter is loaded, frames on bridges pass the hooks of routed packets, too: nobody
/// filters there in a lab, and it costs each packet. A kernel that refuses this does as before.
void passBridgesByIptables() {
  for (const char* table : {"iptables", "ip6tables", "arptables"}) {
    (void)net::setSysctl("bridge/bridge-nf-call-" + std::string(table), "0");
  }
}

}  // namespace

Status Underlay::create() {
  if (Status status = net::raiseLoopback(); !status.ok()) return status;
  passBridgesByIptables();
  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  if (Status status = socket->execute(net::newBridge(kBridge, kBridgeMac, mtu_)); !status.ok())
    return status;
  return configure(*socket, kBridge, serverAddresses(), ranges_);
}

Status Underlay::connect(pid_t pid, int index) {
  const std::string path = namespaceOf(pid);
  UniqueFd nodeNamespace(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!nodeNamespace) return errnoStatus(errno, "cannot open " + path);
  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  auto bridge = net::findLink(*socket, kBridge);
  if (!bridge) return bridge.status();
  if (!*bridge) return Status(Code::kNotFound, std::string("link ") + kBridge + " is not there");

  net::VethEnd near, far;
  near.name = portName(index);
  near.mtu = mtu_;
  far.name = "eth0";
  far.mtu = mtu_;
  far.namespaceFd = nodeNamespace.get();
  // The kernel takes a dead node's link away some time after its processes.
  auto old = net::findLink(*socket, near.name);
  if (!old) return old.status();
  if (*old) {
    if (Status status = socket->execute(net::deleteLink(near.name));
        !status.ok() && !status.is(Code::kNotFound))
      return status;
  }
  if (Status status = socket->execute(net::newVeth(near, far, (*bridge)->index)); !status.ok())
    return status;
  if (Status status = configure(*socket, near.name, {}, {}); !status.ok()) return status;
  const auto inside = [&]() -> Status {
    if (Status status = net::raiseLoopback(); !status.ok()) return status;
    passBridgesByIptables();
    auto own = net::NetlinkSocket::open();
    if (!own) return own.status();
    return configure(*own, far.name, nodeAddresses(index), ranges_);
  };
  Status status = net::inNetworkNamespace(path, inside);
  if (status.ok()) {
    ports_[index] = {};
    ports_[index].pid = pid;
  }
  return status;
}

Status Underlay::enforce(const FaultEffects& effects, const std::map<std::string, int>& indices) {
  std::map<std::string, std::string> names;
  for (const auto& [node, index] : indices) names[node] = portName(index);
  if (Status status = enforceTable(switchTable(effects.losses, names)); !status.ok()) return status;
  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  for (const auto& [node, index] : indices) {
    const auto port = ports_.find(index);
    if (port == ports_.end()) continue;
    const auto wanted = effects.links.find(node);
    Status status =
        enforceLink(*socket, index, port->second,
                    wanted == effects.links.end() ? FaultEffects::Link() : wanted->second);
    if (!status.ok()) return status.withContext("the link of node " + node);
  }
  return {};
}

Status Underlay::enforceTable(std::optional<net::NftTable> wanted) {
  auto changes = net::tableChanges(table_, wanted);
  if (changes.empty()) return {};
  auto socket = net::NetlinkSocket::open(net::NetlinkSocket::Protocol::kNetfilter);
  if (!socket) return socket.status();
  if (Status status = net::applyChanges(*socket, std::move(changes)); !status.ok())
    return explainTable(std::move(status));
  table_ = std::move(wanted);
  return {};
}

Status Underlay::enforceLink(net::NetlinkSocket& socket, int index, Port& port,
                             const FaultEffects::Link& wanted) {
  if (wanted.down != port.down) {
    if (Status status = setUp(socket, portName(index), !wanted.down); !status.ok()) return status;
    port.down = wanted.down;
  }
  net::LinkShape toNode;
  toNode.bitsPerSecond = wanted.bitsPerSecond;
  if (Status status = shape(socket, portName(index), port.toNode, toNode); !status.ok())
    return status;
  const net::LinkShape fromNode{wanted.delay, wanted.jitter, wanted.bitsPerSecond};
  if (fromNode == port.fromNode) return {};
  const auto inside = [&]() -> Status {
    auto own = net::NetlinkSocket::open();
    if (!own) return own.status();
    return shape(*own, "eth0", port.fromNode, fromNode);
  };
  return net::inNetworkNamespace(namespaceOf(port.pid), inside);
}

Status Underlay::shape(net::NetlinkSocket& socket, const std::string& name, net::LinkShape& actual,
                       const net::LinkShape& wanted) {
  if (actual == wanted) return {};
  auto link = net::findLink(socket, name);
  if (!link) return link.status();
  if (!*link) return {};  // with its node, which has ended
  if (!actual.isPlain()) {
    // Somebody else may have taken it away.
    Status status = socket.execute(net::unshapeLink((*link)->index));
    if (!status.ok() && !status.is(Code::kNotFound)) return status;
    actual = {};
  }
  Status status = net::setLinkShape(socket, (*link)->index, mtu_, wanted);
  if (status.ok()) actual = wanted;
  return status;
}

Status Underlay::supports(FaultKind kind) {
  if (kind == FaultKind::kPartition || kind == FaultKind::kLoss) {
    // In force or not: the same table is what a fault takes.
    if (table_) return {};
    const FaultEffects::Loss loss{"trial", {"trial"}, {std::string(kServerMember)}, 0.5};
    Status status = enforceTable(switchTable({loss}, {{"trial", kTrialLink}}));
    return status.ok() ? enforceTable(std::nullopt) : status;
  }
  if (kind != FaultKind::kDelay && kind != FaultKind::kRate) return {};
  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  if (Status status = socket->execute(net::newBridge(kTrialLink, kBridgeMac, mtu_)); !status.ok())
    return status;
  net::LinkShape shape;
  if (kind == FaultKind::kDelay) shape.delay = std::chrono::milliseconds(1);
  if (kind == FaultKind::kRate) shape.bitsPerSecond = 1'000'000;
  auto link = net::findLink(*socket, kTrialLink);
  Status status = link.status();
  if (status.ok() && *link) status = net::setLinkShape(*socket, (*link)->index, mtu_, shape);
  (void)socket->execute(net::deleteLink(kTrialLink));
  return status;
}

std::vector<net::IpAddress> Underlay::serverAddresses() const {
  std::vector<net::IpAddress> addresses;
  for (const auto& range : ranges_) addresses.push_back(range.at(1));
  return addresses;
}

std::vector<net::IpAddress> Underlay::nodeAddresses(int index) const {
  std::vector<net::IpAddress> addresses;
  for (const auto& range : ranges_)
    addresses.push_back(range.at(kFirstNode + static_cast<std::uint64_t>(index)));
  return addresses;
}

}  // namespace podlab::lab
