#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "common/status.hpp"
#include "net/address.hpp"
#include "net/link.hpp"
#include "net/netlink_socket.hpp"
#include "net/routing.hpp"
#include "net/sysctl_record.hpp"
#include "net/underlay.hpp"

namespace podlab::net {

inline constexpr char kBridgeName[] = "podlab0";
/// "podlab.1": one for each VXLAN id.
std::string vxlanName(std::uint32_t id);

/// What one node's network is to be.
struct NodeLayout {
  std::vector<Cidr> ranges;         ///< this node's pods, at most one a family
  std::vector<Cidr> clusterRanges;  ///< all pods: what no node has is unreachable rather than sent
                                    ///< to the default route
  Underlay underlay;
  bool vxlan = true;  ///< false: host-gw, plain routes by the underlay addresses
  std::uint32_t vxlanId = 1;
  std::uint16_t vxlanPort = 8472;

  /// MTU of bridge, overlay and pods.
  int mtu() const;
  /// The bridge's address in `range`, every pod's gateway: the first after the network address.
  static IpAddress gateway(const Cidr& range) { return range.at(1); }
  /// This node's address on the VXLAN device: the network address.
  static IpAddress overlayAddress(const Cidr& range) { return range.network(); }
  MacAddress bridgeMac() const;
};

struct NodeLinks {
  int bridge = 0;
  int vxlan = 0;  ///< 0 with host-gw
};

/// Makes or repairs bridge, VXLAN device, their addresses and the forwarding sysctls of the calling
/// thread's network namespace (which is the socket's). A link of these names that is not podlab's
/// is refused. Sysctls are set by `sysctls`.
Result<NodeLinks> ensureNode(NetlinkSocket& socket, const NodeLayout& layout,
                             const SysctlRecord& sysctls = SysctlRecord(""));
/// Removes what ensureNode made, with all routes of podlab's protocol number. The forwarding
/// sysctls stay.
Status removeNode(NetlinkSocket& socket);

/// Another node, as the overlay sees it.
struct OverlayPeer {
  std::string node;
  std::vector<Cidr> ranges;
  std::vector<IpAddress> underlay;
  MacAddress vxlanMac;
};

/// Entries of podlab in a node's tables.
struct NodeTables {
  std::vector<Route> routes;
  std::vector<Neighbour> neighbours;  ///< of the VXLAN device
  std::vector<FdbEntry> fdb;          ///< of the VXLAN device
};

struct PlannedTables {
  NodeTables tables;
  Status problem;  ///< of the first peer that cannot be served; the others are
};
/// The entries for this node's own range, the cluster's and each peer's: one route a range, one
/// neighbour a range, one forwarding entry a peer. A peer without an underlay address of the family
/// that is needed is a problem.
PlannedTables planTables(const NodeLayout& layout, const NodeLinks& links,
                         const std::vector<OverlayPeer>& peers);
Result<NodeTables> readTables(NetlinkSocket& socket, const NodeLinks& links);
/// The requests from one to the other: a route goes before the entries it needs and comes after
/// them.
std::vector<NetlinkMessage> tableChanges(const NodeTables& actual, const NodeTables& desired);

}  // namespace podlab::net
