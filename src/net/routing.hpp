#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/status.hpp"
#include "net/address.hpp"
#include "net/netlink_socket.hpp"

namespace podlab::net {

/// rtm_protocol of every route that podlab makes (its name for "whose is this"; not in use by any
/// routing daemon of linux/rtnetlink.h).
inline constexpr std::uint8_t kRouteProtocol = 112;

/// An address of a link.
struct LinkAddress {
  int linkIndex = 0;
  IpAddress address;
  int prefix = 0;
  bool linkLocal = false;
  auto operator<=>(const LinkAddress&) const = default;
};
/// Of one link, or of all (0).
Result<std::vector<LinkAddress>> listAddresses(NetlinkSocket& socket, int linkIndex = 0);
/// `prefixRoute`: the kernel adds the route to the prefix. IPv6 addresses skip duplicate address
/// detection.
NetlinkMessage addAddress(const LinkAddress& address, bool prefixRoute);
NetlinkMessage deleteAddress(const LinkAddress& address);

/// A unicast (or unreachable) route of the main table.
struct Route {
  Cidr destination;
  std::optional<IpAddress> gateway;
  int linkIndex = 0;         ///< 0 when unreachable
  bool unreachable = false;  ///< answers "no route to host"
  std::uint32_t metric = 0;  ///< the kernel makes an IPv6 metric of 0 to 1024
  std::uint8_t protocol = kRouteProtocol;
  std::string toString() const;
  auto operator<=>(const Route&) const = default;
};
/// Routes of the main table, of one protocol or of all (0).
Result<std::vector<Route>> listRoutes(NetlinkSocket& socket, Family family,
                                      std::uint8_t protocol = 0);
/// Adds it or replaces that of the same destination and metric. A gateway need not be covered by
/// another route (onlink) when `onlink`.
NetlinkMessage replaceRoute(const Route& route, bool onlink = false);
NetlinkMessage deleteRoute(const Route& route);

/// A permanent neighbour (ARP or NDP) entry.
struct Neighbour {
  int linkIndex = 0;
  IpAddress address;
  MacAddress mac;
  auto operator<=>(const Neighbour&) const = default;
};
/// Permanent entries of a link, of both families.
Result<std::vector<Neighbour>> listNeighbours(NetlinkSocket& socket, int linkIndex);
NetlinkMessage replaceNeighbour(const Neighbour& neighbour);
NetlinkMessage deleteNeighbour(const Neighbour& neighbour);

/// A static forwarding entry: of a VXLAN device (`destination`: the remote node), or of a bridge
/// port (none).
struct FdbEntry {
  int linkIndex = 0;
  MacAddress mac;
  std::optional<IpAddress> destination;
  auto operator<=>(const FdbEntry&) const = default;
};
/// Entries of a VXLAN device.
Result<std::vector<FdbEntry>> listVxlanFdb(NetlinkSocket& socket, int linkIndex);
NetlinkMessage replaceFdb(const FdbEntry& entry);
NetlinkMessage deleteFdb(const FdbEntry& entry);

}  // namespace podlab::net
