#include "net/path_check.hpp"

#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "net/link.hpp"
#include "net/namespaces.hpp"
#include "net/netlink_socket.hpp"
#include "net/node_network.hpp"
#include "net/pod_link.hpp"
#include "net/routing.hpp"
#include "net/underlay.hpp"

namespace podlab::net {
namespace {

/// What the kernel does with packets to an address.
struct Lookup {
  bool local = false;  ///< keeps them
  int linkIndex = 0;
  std::optional<IpAddress> gateway;
};

Result<Lookup> lookUp(NetlinkSocket& socket, const IpAddress& address) {
  NetlinkMessage request(RTM_GETROUTE, 0, "look up " + address.toString());
  rtmsg wanted{};
  wanted.rtm_family = address.isV4() ? AF_INET : AF_INET6;
  wanted.rtm_dst_len = static_cast<std::uint8_t>(address.bits());
  request.header(wanted).put(RTA_DST, address);
  Lookup found;
  std::uint8_t type = RTN_UNICAST;
  Status status =
      socket.query(std::move(request), [&](std::uint16_t, std::span<const std::byte> body) {
        rtmsg head;
        if (body.size() < sizeof head) return;
        std::memcpy(&head, body.data(), sizeof head);
        const NetlinkAttributes attributes(body.subspan(NLMSG_ALIGN(sizeof head)));
        type = head.rtm_type;
        found.local = type == RTN_LOCAL;
        found.linkIndex = attributes.number<std::int32_t>(RTA_OIF);
        found.gateway = attributes.address(RTA_GATEWAY);
      });
  if (!status) return status;
  // IPv6 answers with the route that refuses.
  if (type == RTN_UNREACHABLE || type == RTN_BLACKHOLE || type == RTN_PROHIBIT) {
    return Status(Code::kNotFound, "a route refuses");
  }
  return found;
}

bool isTunnel(const Link& link) {
  return link.vxlan && hasLinkMark(link.alias);
}

}  // namespace

/// A network namespace as it was at the first look.
struct PathCheck::View {
  Status opened;
  std::optional<NetlinkSocket> socket;
  std::vector<Link> links;
  std::vector<LinkAddress> addresses;

  explicit View(const std::string& networkPath) {
    opened = inNetworkNamespace(networkPath, [&]() -> Status {
      auto made = NetlinkSocket::open();
      if (!made) return made.status();
      socket = std::move(*made);
      auto all = listLinks(*socket);
      if (!all) return all.status();
      links = std::move(*all);
      auto own = listAddresses(*socket);
      if (!own) return own.status();
      addresses = std::move(*own);
      return Status();
    });
  }
  const Link* link(const std::string& name) const {
    const auto found = std::ranges::find(links, name, &Link::name);
    return found == links.end() ? nullptr : &*found;
  }
  /// podlab's VXLAN device.
  const Link* tunnel() const {
    const auto found = std::ranges::find_if(links, isTunnel);
    return found == links.end() ? nullptr : &*found;
  }
  const Link* link(int index) const {
    const auto found = std::ranges::find(links, index, &Link::index);
    return found == links.end() ? nullptr : &*found;
  }
  /// The permanent entry of an address on a link.
  std::optional<MacAddress> neighbour(int index, const IpAddress& address) {
    auto entries = listNeighbours(*socket, index);
    if (!entries) return std::nullopt;
    const auto found = std::ranges::find(*entries, address, &Neighbour::address);
    if (found == entries->end()) return std::nullopt;
    return found->mac;
  }
};

PathCheck::PathCheck(std::string node, std::string networkPath,
                     std::shared_ptr<const NftTrace> trace)
    : node_(std::move(node)), networkPath_(std::move(networkPath)), trace_(std::move(trace)) {}

std::uint16_t tunnelPort(const std::string& networkPath) {
  auto links = inNetworkNamespace(networkPath, []() -> Result<std::vector<Link>> {
    auto socket = NetlinkSocket::open();
    if (!socket) return socket.status();
    return listLinks(*socket);
  });
  if (!links) return 0;
  const auto found = std::ranges::find_if(*links, isTunnel);
  return found == links->end() ? std::uint16_t{0} : found->vxlan->port;
}

PathCheck::~PathCheck() = default;

PathCheck::View& PathCheck::view(const std::string& networkPath) {
  auto& view = views_[networkPath];
  if (!view) view = std::make_unique<View>(networkPath);
  return *view;
}

namespace {

/// Whether a link carries packets of that size; `what` names it, `where` it is.
std::string linkFault(const Link* link, const std::string& what, const std::string& where,
                      int size) {
  if (link == nullptr) return what + " is missing " + where;
  if (!link->up) return what + " is down " + where;
  if (!link->carrier) return what + " has no carrier " + where;
  if (size > link->mtu) {
    return "MTU " + std::to_string(link->mtu) + " of " + what + " " + where +
           " is too small for packets of " + std::to_string(size) + " bytes";
  }
  return "";
}

}  // namespace

/// The pod's own side: its link, addresses, route and gateway.
std::string PathCheck::insidePod(const PathEnd& end, const IpAddress& other, int size) {
  const std::string where = "in pod " + end.name;
  View& pod = view(end.networkPath);
  if (!pod.opened) return "the network of pod " + end.name + " is gone: " + pod.opened.message();
  const Link* eth = pod.link("eth0");
  if (std::string fault = linkFault(eth, "link eth0", where, size); !fault.empty()) return fault;
  const auto own = [&](const LinkAddress& address) { return address.address == end.address; };
  if (std::ranges::none_of(pod.addresses, own)) {
    return "address " + end.address.toString() + " is missing " + where;
  }
  const auto route = lookUp(*pod.socket, other);
  if (!route) return "no route to " + other.toString() + " " + where;
  if (route->local && other != end.address) {
    return "duplicate address: " + other.toString() + " is set " + where + ", too";
  }
  if (route->local) return "";
  if (!route->gateway) return "";
  const auto mac = pod.neighbour(route->linkIndex, *route->gateway);
  const Link* bridge = view(networkPath_).link(kBridgeName);
  if (!mac) {
    return "no neighbour entry for the gateway " + route->gateway->toString() + " " + where;
  }
  if (bridge != nullptr && *mac != bridge->mac) {
    return "the neighbour entry for the gateway " + route->gateway->toString() + " " + where +
           " leads to " + mac->toString() + ", not to the bridge";
  }
  return "";
}

/// The node's end of the pod's link.
std::string PathCheck::port(const PathEnd& pod, int size) {
  const std::string where = "on " + node_;
  View& node = view(networkPath_);
  const std::string name = podLinkName(pod.podUid);
  const Link* port = node.link(name);
  const Link* bridge = node.link(kBridgeName);
  // The veth's own carrier says whether its other end is up, which the pod's side tells better.
  std::string fault = linkFault(bridge, std::string("bridge ") + kBridgeName, where, size);
  if (fault.empty() || (bridge != nullptr && bridge->up && !bridge->carrier)) {
    fault = linkFault(port, "link " + name + " of pod " + pod.name, where, size);
    if (fault.empty() && port->master != bridge->index) {
      fault = "link " + name + " of pod " + pod.name + " is not a port of the bridge " + where;
    }
  }
  return fault;
}

std::string PathCheck::duplicate(const IpAddress& address, const std::string& owner) {
  View& node = view(networkPath_);
  for (const LinkAddress& one : node.addresses) {
    if (one.address != address) continue;
    const Link* link = node.link(one.linkIndex);
    return "duplicate address: " + address.toString() + " of " + owner + " is also on link " +
           (link == nullptr ? "?" : link->name) + " of " + node_;
  }
  return "";
}

/// What holds for all that the node forwards between these two.
std::string PathCheck::forwarding(const PathProbe& probe) {
  const auto sysctl = [&](const std::string& name) {
    auto value = inNetworkNamespace(networkPath_, [&] { return getSysctl(name); });
    return value && *value == "0" ? "forwarding is off on " + node_ + ": net." + name + " is 0"
                                  : std::string();
  };
  std::string fault;
  if (probe.from.address.isV4()) {
    fault = sysctl("ipv4/ip_forward");
    if (fault.empty()) fault = sysctl(std::string("ipv4/conf/") + kBridgeName + "/forwarding");
  } else {
    fault = sysctl("ipv6/conf/all/forwarding");
  }
  std::ranges::replace(fault, '/', '.');
  if (fault.empty() && !probe.from.podUid.empty()) {
    fault = duplicate(probe.from.address, probe.from.name);
  }
  if (fault.empty() && !probe.to.podUid.empty()) {
    fault = duplicate(probe.to.address, probe.to.name);
  }
  return fault;
}

/// Who has been seen to drop it here.
std::string PathCheck::dropped(const PathProbe& probe) const {
  if (!trace_) return "";
  const PacketFlow flow{probe.from.address, probe.to.address, probe.protocol, probe.port};
  if (const auto by = trace_->dropOf(flow)) return "dropped on " + node_ + " " + *by;
  for (const IpAddress& from : probe.from.underlay) {
    for (const IpAddress& to : probe.to.underlay) {
      const View* node = nullptr;
      const auto found = views_.find(networkPath_);
      if (found != views_.end()) node = found->second.get();
      const Link* device = node == nullptr ? nullptr : node->tunnel();
      if (device == nullptr) continue;
      const PacketFlow tunnelled{from, to, IPPROTO_UDP, device->vxlan->port};
      if (const auto by = trace_->dropOf(tunnelled)) {
        return "UDP port " + std::to_string(tunnelled.port) + " (VXLAN) is blocked: dropped on " +
               node_ + " " + *by;
      }
    }
  }
  return "";
}

/// From the node's routing to its underlay.
std::string PathCheck::tunnel(const PathProbe& probe) {
  const std::string where = "on " + node_;
  View& node = view(networkPath_);
  const IpAddress& target = probe.to.address;
  const auto route = lookUp(*node.socket, target);
  if (!route) return "no route to " + target.toString() + " " + where;
  if (route->local) return duplicate(target, probe.to.name);
  const Link* out = node.link(route->linkIndex);
  if (out == nullptr) return "no route to " + target.toString() + " " + where;
  if (std::string fault = linkFault(out, "link " + out->name, where, probe.size); !fault.empty()) {
    return fault;
  }
  const Link* device = node.tunnel();
  if (device == nullptr || route->linkIndex != device->index) {
    // By the bridge, though it is elsewhere; or out by the default route, though it is a pod.
    const bool bridged = out->name == kBridgeName;
    if (bridged || (device != nullptr && !probe.to.podUid.empty())) {
      return "no route to " + target.toString() + " over " + device->name + " " + where +
             ": it goes to " + out->name;
    }
    return "";
  }
  if (!route->gateway) return "";
  const auto mac = node.neighbour(device->index, *route->gateway);
  if (!mac) {
    return "no neighbour entry for " + route->gateway->toString() + " on " + device->name + " " +
           where;
  }
  auto entries = listVxlanFdb(*node.socket, device->index);
  if (!entries) return "";
  const auto entry = std::ranges::find(*entries, *mac, &FdbEntry::mac);
  if (entry == entries->end()) {
    return "no forwarding entry for " + mac->toString() + " (" + probe.to.node + ") on " +
           device->name + " " + where;
  }
  const auto& expected = probe.to.underlay;
  if (!expected.empty() && std::ranges::find(expected, *entry->destination) == expected.end()) {
    return "the forwarding entry for " + mac->toString() + " on " + device->name + " " + where +
           " leads to " + entry->destination->toString() + ", which is not " + probe.to.node;
  }
  const auto underlay = lookUp(*node.socket, *entry->destination);
  if (!underlay) {
    return "no route to " + entry->destination->toString() + ", the address of " + probe.to.node +
           ", " + where;
  }
  const Link* below = node.link(underlay->linkIndex);
  const int outer = probe.size == 0 ? 0 : probe.size + vxlanOverhead(entry->destination->family());
  return linkFault(below, "underlay link " + (below == nullptr ? "" : below->name), where, outer);
}

/// From the node's routing to the pod.
std::string PathCheck::deliver(const PathProbe& probe) {
  const std::string where = "on " + node_;
  View& node = view(networkPath_);
  const IpAddress& target = probe.to.address;
  if (probe.to.podUid.empty()) return "";
  if (std::string fault = port(probe.to, probe.size); !fault.empty()) return fault;
  const auto route = lookUp(*node.socket, target);
  if (!route) return "no route to " + target.toString() + " " + where;
  const Link* bridge = node.link(kBridgeName);
  if (route->linkIndex != bridge->index) {
    const Link* out = node.link(route->linkIndex);
    return "no route to " + target.toString() + " over the bridge " + where + ": it goes to " +
           (out == nullptr ? "nowhere" : out->name);
  }
  const auto mac = node.neighbour(bridge->index, target);
  if (!mac) {
    return "no neighbour entry for " + target.toString() + " on " + kBridgeName + " " + where;
  }
  const Link* eth = view(probe.to.networkPath).link("eth0");
  if (eth != nullptr && eth->mac != *mac) {
    return "the neighbour entry for " + target.toString() + " on " + kBridgeName + " " + where +
           " leads to " + mac->toString() + ", not to pod " + probe.to.name;
  }
  return insidePod(probe.to, probe.from.address, 0);
}

std::string PathCheck::leaving(const PathProbe& probe) {
  View& node = view(networkPath_);
  if (!node.opened) return "the network of " + node_ + " cannot be read: " + node.opened.message();
  std::string fault;
  const bool pod = !probe.from.podUid.empty();
  if (pod) fault = insidePod(probe.from, probe.to.address, probe.size);
  if (probe.from.address == probe.to.address) return fault;
  if (pod && fault.empty()) fault = port(probe.from, probe.size);
  // A packet that a rule was seen to drop has come that far.
  if (fault.empty()) fault = dropped(probe);
  if (fault.empty() && pod) fault = forwarding(probe);
  if (!fault.empty()) return fault;
  return probe.from.node == probe.to.node ? deliver(probe) : tunnel(probe);
}

std::string PathCheck::arriving(const PathProbe& probe) {
  View& node = view(networkPath_);
  if (!node.opened) return "the network of " + node_ + " cannot be read: " + node.opened.message();
  const std::string where = "on " + node_;
  std::string fault = dropped(probe);
  const Link* device = node.tunnel();
  if (fault.empty() && device != nullptr) {
    const Link* below = node.link(device->vxlan->underlayIndex);
    const int outer =
        probe.size == 0 ? 0 : probe.size + vxlanOverhead(device->vxlan->local.family());
    fault =
        linkFault(below, "underlay link " + (below == nullptr ? "" : below->name), where, outer);
    if (fault.empty()) fault = linkFault(device, "link " + device->name, where, probe.size);
  }
  if (fault.empty() && !probe.to.podUid.empty()) fault = forwarding(probe);
  if (fault.empty()) fault = deliver(probe);
  if (!fault.empty() || !trace_ || device == nullptr) return fault;
  // Nothing is wrong here: has it come at all?
  const PacketFlow flow{probe.from.address, probe.to.address, probe.protocol, probe.port};
  if (trace_->seen(flow) || probe.from.underlay.empty() || probe.from.podUid.empty()) return "";
  for (const IpAddress& from : probe.from.underlay) {
    const PacketFlow tunnelled{from, device->vxlan->local, IPPROTO_UDP, device->vxlan->port};
    if (from.family() == device->vxlan->local.family() && !trace_->seen(tunnelled)) {
      return "nothing comes from " + probe.from.node + " to " + node_ + " by UDP port " +
             std::to_string(device->vxlan->port) + " (VXLAN): it is blocked between them";
    }
  }
  return "";
}

}  // namespace podlab::net
