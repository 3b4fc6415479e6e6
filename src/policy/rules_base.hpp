#pragma once
#include <string>
#include <vector>

#include "net/nft_table.hpp"
#include "policy/protocol.hpp"

namespace podlab::policy {

/// What is the same in every node's table: who is judged at all, and what always passes.

/// The chain that accepts what no policy decides on.
inline constexpr char kAlwaysChain[] = "always";
/// Where a packet goes that ingress has accepted: it is accepted, and remembered if it asks.
inline constexpr char kAcceptedChain[] = "accepted";

/// "_v4" and "_v6", at the end of names.
std::string familyName(net::Family family);
net::NftType addressType(net::Family family);
std::size_t addressLength(net::Family family);

/// Packets of the pod in that direction go through `chain`.
void addIsolated(net::NftTable& table, Direction direction, const net::IpAddress& address,
                 const std::string& chain);

/// The base chains, the chain of what always passes, and their sets. After all addIsolated().
void addBaseChains(net::NftTable& table, const std::vector<net::Family>& families);

}  // namespace podlab::policy
