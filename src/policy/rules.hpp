#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "networking_v1.pb.h"

#include "net/nft_table.hpp"
#include "policy/pod_index.hpp"

namespace podlab::policy {

/// How long a node remembers a datagram or an echo whose reply would be judged otherwise, in
/// seconds; each packet of either side begins it anew. As Linux' conntrack has it for streams
/// (net.netfilter.nf_conntrack_udp_timeout_stream).
inline constexpr std::uint32_t kFlowSeconds = 120;

/// What one node is to enforce of the cluster's policies, for the pods that are local: the table of
/// nftables for it. nullopt when no policy isolates any of them.
///
/// All traffic of pods is routed, so that two base chains on the hook forward see it: `egress`
/// judges the source, then `ingress` the target; what both have accepted and will be answered is
/// remembered. What the node itself sends and receives does not pass there. The sets `egress_v4`
/// and so on lead from a pod's address to the chain of its profile, which is the list of the
/// policies that select it: it calls each policy's chain, where rules accept, and ends with a drop.
/// Of many policies those that name single ports are called by a map of ports, so that what a
/// connection costs does not grow with their number.
///
/// TCP is judged at its SYN alone: a connection that exists goes on when policies change.
/// Datagrams and echos that ask are judged one by one; replies to remembered ones pass, as do ICMP
/// errors and all fragments but the first.
std::optional<net::NftTable> nodeTable(
    const PodIndex& pods, const std::map<std::string, api::Labels>& namespaces,
    const std::vector<std::shared_ptr<const networkingv1::NetworkPolicy>>& policies);

}  // namespace podlab::policy
