#pragma once
#include <string>
#include <vector>

#include "common/status.hpp"
#include "net/address.hpp"
#include "net/netlink_socket.hpp"
#include "net/node_network.hpp"

namespace podlab::net {

/// A pod's veth pair: "eth0" in the pod, a bridge port on the node.
///
/// A pod has its addresses as /32 (/128) and one route a family: the default, through the bridge.
/// So a packet to a pod of the same node is routed too, every packet passes the node's forwarding
/// hook (no frame goes from one pod's port to another's: they are isolated), and nobody asks by ARP
/// or NDP: the gateway's entry in the pod and the pod's on the bridge are permanent, by their fixed
/// MACs. With ranges on-link every pair of pods of one node would need a learned entry, and the
/// kernel keeps 1,024 of those (net.ipv4.neigh.default.gc_thresh3) for all namespaces together: 60
/// pods that talk to each other overflow it.
struct PodLink {
  std::string podUid;
  std::vector<IpAddress> addresses;
};

/// Name of the node's end: "pl" and 13 letters and digits of the uid's FNV-1a hash.
std::string podLinkName(const std::string& podUid);

/// The uid in a pod link's alias; empty when it is not one.
std::string podUidOfAlias(const std::string& alias);

/// Makes or repairs both ends; `pod` is a socket of the namespace `podNamespaceFd`. With
/// `exactAddresses` addresses that are not the pod's go; otherwise they stay, since a pod may give
/// itself more. Returns the index of the node's end.
Result<int> ensurePodLink(NetlinkSocket& node, NetlinkSocket& pod, int podNamespaceFd,
                          const NodeLayout& layout, const NodeLinks& links, const PodLink& link,
                          bool exactAddresses);

/// Deletes the pair; absent is OK.
Status removePodLink(NetlinkSocket& node, const std::string& podUid);

/// Settings of a pod's new network namespace that must precede its link: with IPv6 no router
/// advertisements and no duplicate address detection. Run in it.
Status preparePodNamespace(const NodeLayout& layout);

}  // namespace podlab::net
