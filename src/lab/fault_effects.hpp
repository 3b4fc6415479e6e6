#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lab/fault.hpp"
#include "net/nft_table.hpp"

namespace podlab::lab {

/// What several faults do together, each part of it by node.
struct FaultEffects {
  /// Of the packets between two groups.
  struct Loss {
    std::string fault;  ///< its id
    std::set<std::string> from;
    std::set<std::string> to;
    double share = 1;
  };
  struct Link {
    bool down = false;
    Duration delay{};  ///< of what the node sends
    Duration jitter{};
    std::uint64_t bitsPerSecond = 0;  ///< in both directions; 0: unlimited
    bool operator==(const Link&) const = default;
  };
  std::vector<Loss> losses;
  std::map<std::string, Link> links;  ///< of nodes whose link is not as it was made
  std::set<std::string> frozen;
  std::set<std::string> dead;
};

/// Losses are independent chances; of several delays of a node the longest holds, of several rates
/// the lowest. What is dead cannot be frozen.
FaultEffects effectsOf(const std::map<std::string, Fault>& faultsById, const NodeLabels& nodes);

/// The switch's firewall. `ports` are the names of the nodes' links at the switch; the server is
/// the switch itself. Address resolution (ARP and IPv6's neighbour discovery) is never lost, so
/// that a fault one way is one. nullopt: none is needed.
std::optional<net::NftTable> switchTable(const std::vector<FaultEffects::Loss>& losses,
                                         const std::map<std::string, std::string>& ports);

}  // namespace podlab::lab
