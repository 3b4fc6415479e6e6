#pragma once
#include <optional>
#include <string>
#include <vector>

#include "common/status.hpp"
#include "net/address.hpp"
#include "net/netlink_socket.hpp"

namespace podlab::net {

/// ifalias of the bridge and the VXLAN device; a pod's veth has it followed by " pod UID". What
/// carries it is podlab's.
inline constexpr char kLinkMark[] = "podlab";
bool hasLinkMark(const std::string& alias);

/// The link by which this node reaches the others.
struct Underlay {
  int linkIndex = 0;
  std::string linkName;
  int mtu = 0;
  std::vector<IpAddress> addresses;  ///< this node's there, at most one a family, IPv4 first
  bool operator==(const Underlay&) const = default;
};

/// The link that has `nodeIp`; without it the one of the default route; without that the only one
/// with a global address. kInvalid or kNotFound when there is none or more than one candidate, with
/// the remedy.
Result<Underlay> findUnderlay(NetlinkSocket& socket, const std::optional<IpAddress>& nodeIp);

/// What VXLAN adds to a packet: outer Ethernet 14, IP 20 or 40, UDP 8, VXLAN 8 (RFC 7348).
int vxlanOverhead(Family underlay);

/// The MAC of this node's VXLAN device: 0e:58 and four bytes of the underlay address (IPv6: of its
/// FNV-1a hash), so that it is the same after every restart and changes with the address.
MacAddress overlayMac(const IpAddress& underlay);

}  // namespace podlab::net
