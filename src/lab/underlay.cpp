#include "lab/underlay.hpp"

#include <fcntl.h>

#include <cerrno>
#include <string>

#include "common/unique_fd.hpp"
#include "net/link.hpp"
#include "net/namespaces.hpp"
#include "net/netlink_socket.hpp"
#include "net/routing.hpp"

namespace podlab::lab {
namespace {

constexpr const char* kBridge = "underlay";
constexpr std::uint64_t kFirstNode = 10;
/// Locally administered, as no other link of the lab's namespace has it.
constexpr net::MacAddress kBridgeMac{{0x0a, 0x70, 0x6c, 0x00, 0x00, 0x01}};

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

}  // namespace

Status Underlay::create() {
  if (Status status = net::raiseLoopback(); !status.ok()) return status;
  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  if (Status status = socket->execute(net::newBridge(kBridge, kBridgeMac, mtu_)); !status.ok())
    return status;
  return configure(*socket, kBridge, serverAddresses(), ranges_);
}

Status Underlay::connect(pid_t pid, int index) {
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
  UniqueFd nodeNamespace(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!nodeNamespace) return errnoStatus(errno, "cannot open " + path);
  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  auto bridge = net::findLink(*socket, kBridge);
  if (!bridge) return bridge.status();
  if (!*bridge) return Status(Code::kNotFound, std::string("link ") + kBridge + " is not there");

  net::VethEnd near, far;
  near.name = "node" + std::to_string(index);
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
    auto own = net::NetlinkSocket::open();
    if (!own) return own.status();
    return configure(*own, far.name, nodeAddresses(index), ranges_);
  };
  return net::inNetworkNamespace(path, inside);
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
