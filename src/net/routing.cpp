#include "net/routing.hpp"

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <utility>

namespace podlab::net {
namespace {

constexpr std::uint32_t kDefaultV6Metric = 1024;

std::uint8_t afOf(Family family) {
  return family == Family::kV4 ? AF_INET : AF_INET6;
}

IpAddress anyAddress(std::uint8_t family) {
  return family == AF_INET ? IpAddress::v4({}) : IpAddress::v6({});
}

/// Reads one table into `out` by `parse`, which gives nullopt for what is not wanted.
template <typename Header, typename T, typename Parse>
Status dumpTable(NetlinkSocket& socket, const NetlinkMessage& request, std::vector<T>& out,
                 Parse parse) {
  auto receive = [&](std::uint16_t, std::span<const std::byte> body) {
    Header head;
    if (body.size() < sizeof head) return;
    std::memcpy(&head, body.data(), sizeof head);
    std::optional<T> item = parse(head, NetlinkAttributes(body.subspan(NLMSG_ALIGN(sizeof head))));
    if (item) out.push_back(std::move(*item));
  };
  const std::size_t kept = out.size();
  return socket.dump(request, [&] { out.resize(kept); }, receive);
}

NetlinkMessage addressMessage(std::uint16_t type, std::uint16_t flags, const std::string& what,
                              const LinkAddress& address, std::uint32_t addressFlags) {
  NetlinkMessage message(type, flags,
                         what + address.address.toString() + "/" + std::to_string(address.prefix));
  ifaddrmsg head{};
  head.ifa_family = afOf(address.address.family());
  head.ifa_prefixlen = static_cast<std::uint8_t>(address.prefix);
  head.ifa_index = static_cast<std::uint32_t>(address.linkIndex);
  message.header(head).put(IFA_LOCAL, address.address).put(IFA_ADDRESS, address.address);
  if (addressFlags != 0) message.put(IFA_FLAGS, addressFlags);
  return message;
}

NetlinkMessage routeMessage(std::uint16_t type, std::uint16_t flags, const std::string& what,
                            const Route& route, bool onlink) {
  NetlinkMessage message(type, flags, what + "route " + route.toString());
  rtmsg head{};
  head.rtm_family = afOf(route.destination.family());
  head.rtm_dst_len = static_cast<std::uint8_t>(route.destination.prefix());
  head.rtm_table = RT_TABLE_MAIN;
  head.rtm_protocol = route.protocol;
  head.rtm_type = route.unreachable ? RTN_UNREACHABLE : RTN_UNICAST;
  head.rtm_scope = route.gateway || route.unreachable || !route.destination.network().isV4()
                       ? RT_SCOPE_UNIVERSE
                       : RT_SCOPE_LINK;
  if (onlink) head.rtm_flags = RTNH_F_ONLINK;
  message.header(head);
  if (route.destination.prefix() > 0) message.put(RTA_DST, route.destination.network());
  if (route.gateway) message.put(RTA_GATEWAY, *route.gateway);
  if (route.linkIndex != 0) message.put(RTA_OIF, static_cast<std::uint32_t>(route.linkIndex));
  if (route.metric != 0) message.put(RTA_PRIORITY, route.metric);
  return message;
}

ndmsg neighbourHeader(std::uint8_t family, int linkIndex, std::uint16_t state, std::uint8_t flags) {
  ndmsg head{};
  head.ndm_family = family;
  head.ndm_ifindex = linkIndex;
  head.ndm_state = state;
  head.ndm_flags = flags;
  return head;
}

NetlinkMessage neighbourMessage(std::uint16_t type, std::uint16_t flags, const std::string& what,
                                const Neighbour& neighbour) {
  NetlinkMessage message(type, flags, what + "neighbour " + neighbour.address.toString());
  message
      .header(
          neighbourHeader(afOf(neighbour.address.family()), neighbour.linkIndex, NUD_PERMANENT, 0))
      .put(NDA_DST, neighbour.address);
  if (type == RTM_NEWNEIGH) message.put(NDA_LLADDR, neighbour.mac);
  return message;
}

NetlinkMessage fdbMessage(std::uint16_t type, std::uint16_t flags, std::string what,
                          const FdbEntry& entry) {
  if (entry.destination) what += "to " + entry.destination->toString() + " ";
  NetlinkMessage message(type, flags, what + "for " + entry.mac.toString());
  // On a bridge, NUD_PERMANENT would mean 'one of the bridge's own addresses'; NUD_NOARP is a
  // static entry.
  const bool vxlan = entry.destination.has_value();
  message
      .header(neighbourHeader(AF_BRIDGE, entry.linkIndex, vxlan ? NUD_PERMANENT : NUD_NOARP,
                              vxlan ? NTF_SELF : NTF_MASTER))
      .put(NDA_LLADDR, entry.mac);
  if (entry.destination) message.put(NDA_DST, *entry.destination);
  return message;
}

}  // namespace

Result<std::vector<LinkAddress>> listAddresses(NetlinkSocket& socket, int linkIndex) {
  NetlinkMessage request(RTM_GETADDR, 0, "list addresses");
  ifaddrmsg wanted{};
  wanted.ifa_index = static_cast<std::uint32_t>(linkIndex);
  request.header(wanted);
  std::vector<LinkAddress> addresses;
  auto parse = [](const ifaddrmsg& head,
                  const NetlinkAttributes& attributes) -> std::optional<LinkAddress> {
    // IFA_ADDRESS is the other end on point-to-point links; IFA_LOCAL is absent for IPv6.
    auto address = attributes.address(IFA_LOCAL);
    if (!address) address = attributes.address(IFA_ADDRESS);
    if (!address) return std::nullopt;
    return LinkAddress{static_cast<int>(head.ifa_index), *address, head.ifa_prefixlen,
                       head.ifa_scope == RT_SCOPE_LINK};
  };
  Status status = dumpTable<ifaddrmsg>(socket, request, addresses, parse);
  if (!status) return status;
  return addresses;
}

NetlinkMessage addAddress(const LinkAddress& address, bool prefixRoute) {
  std::uint32_t flags = prefixRoute ? 0 : IFA_F_NOPREFIXROUTE;
  if (!address.address.isV4()) flags |= IFA_F_NODAD;
  return addressMessage(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, "add address ", address, flags);
}

NetlinkMessage deleteAddress(const LinkAddress& address) {
  return addressMessage(RTM_DELADDR, 0, "delete address ", address, 0);
}

std::string Route::toString() const {
  std::string text = (unreachable ? "unreachable " : "") + destination.toString();
  if (gateway) text += " via " + gateway->toString();
  return text;
}

Result<std::vector<Route>> listRoutes(NetlinkSocket& socket, Family family, std::uint8_t protocol) {
  NetlinkMessage request(RTM_GETROUTE, 0, "list routes");
  rtmsg wanted{};
  wanted.rtm_family = afOf(family);
  wanted.rtm_table = RT_TABLE_MAIN;
  wanted.rtm_protocol = protocol;
  request.header(wanted);
  std::vector<Route> routes;
  auto parse = [&](const rtmsg& head, const NetlinkAttributes& attributes) -> std::optional<Route> {
    const bool unreachable = head.rtm_type == RTN_UNREACHABLE;
    if (head.rtm_table != RT_TABLE_MAIN || (head.rtm_type != RTN_UNICAST && !unreachable) ||
        (head.rtm_flags & RTM_F_CLONED)) {
      return std::nullopt;
    }
    Route route;
    route.destination =
        Cidr(attributes.address(RTA_DST).value_or(anyAddress(head.rtm_family)), head.rtm_dst_len);
    route.gateway = attributes.address(RTA_GATEWAY);
    route.unreachable = unreachable;
    // The kernel shows the loopback link for unreachable IPv6 routes.
    if (!unreachable) route.linkIndex = attributes.number<std::int32_t>(RTA_OIF);
    route.metric = attributes.number<std::uint32_t>(RTA_PRIORITY);
    if (head.rtm_family == AF_INET6 && route.metric == kDefaultV6Metric) route.metric = 0;
    route.protocol = head.rtm_protocol;
    return route;
  };
  Status status = dumpTable<rtmsg>(socket, request, routes, parse);
  // A namespace that never had an IPv4 route has no such table.
  if (!status && !status.is(Code::kNotFound)) return status;
  return routes;
}

NetlinkMessage replaceRoute(const Route& route, bool onlink) {
  return routeMessage(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, "add ", route, onlink);
}

NetlinkMessage deleteRoute(const Route& route) {
  return routeMessage(RTM_DELROUTE, 0, "delete ", route, false);
}

Result<std::vector<Neighbour>> listNeighbours(NetlinkSocket& socket, int linkIndex) {
  std::vector<Neighbour> neighbours;
  auto parse = [](const ndmsg& head,
                  const NetlinkAttributes& attributes) -> std::optional<Neighbour> {
    auto address = attributes.address(NDA_DST);
    auto mac = attributes.mac(NDA_LLADDR);
    if (!(head.ndm_state & NUD_PERMANENT) || !address || !mac) return std::nullopt;
    return Neighbour{head.ndm_ifindex, *address, *mac};
  };
  for (std::uint8_t family : {AF_INET, AF_INET6}) {
    NetlinkMessage request(RTM_GETNEIGH, 0, "list neighbours");
    request.header(neighbourHeader(family, 0, 0, 0))
        .put(NDA_IFINDEX, static_cast<std::uint32_t>(linkIndex));
    Status status = dumpTable<ndmsg>(socket, request, neighbours, parse);
    if (!status) return status;
  }
  return neighbours;
}

NetlinkMessage replaceNeighbour(const Neighbour& neighbour) {
  return neighbourMessage(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, "add ", neighbour);
}

NetlinkMessage deleteNeighbour(const Neighbour& neighbour) {
  return neighbourMessage(RTM_DELNEIGH, 0, "delete ", neighbour);
}

Result<std::vector<FdbEntry>> listVxlanFdb(NetlinkSocket& socket, int linkIndex) {
  NetlinkMessage request(RTM_GETNEIGH, 0, "list forwarding entries");
  request.header(neighbourHeader(AF_BRIDGE, linkIndex, 0, 0));
  std::vector<FdbEntry> entries;
  auto parse = [&](const ndmsg& head,
                   const NetlinkAttributes& attributes) -> std::optional<FdbEntry> {
    auto mac = attributes.mac(NDA_LLADDR);
    auto destination = attributes.address(NDA_DST);
    if (head.ndm_ifindex != linkIndex || !mac || !destination) return std::nullopt;
    return FdbEntry{head.ndm_ifindex, *mac, destination};
  };
  Status status = dumpTable<ndmsg>(socket, request, entries, parse);
  if (!status) return status;
  return entries;
}

NetlinkMessage replaceFdb(const FdbEntry& entry) {
  return fdbMessage(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, "add forwarding entry ", entry);
}

NetlinkMessage deleteFdb(const FdbEntry& entry) {
  return fdbMessage(RTM_DELNEIGH, 0, "delete forwarding entry ", entry);
}

}  // namespace podlab::net
