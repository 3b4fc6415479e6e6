#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/status.hpp"
#include "net/reach.hpp"

namespace podlab::cli {

struct ReachEnd;

/// Ports as --port and expectation files name them: "80", "tcp/80", "udp/5000-5010", "icmp", "tcp".
struct ReachPorts {
  std::uint8_t protocol = 0;  ///< as in net::ReachPort
  std::uint16_t first = 0;
  std::uint16_t last = 65535;

  static Result<ReachPorts> parse(std::string_view text);
  bool contains(std::uint8_t wanted, std::uint16_t port) const {
    return protocol == wanted && first <= port && port <= last;
  }
};

/// "icmp", "tcp" or "udp"; nullopt for anything else.
std::optional<std::uint8_t> reachProtocol(std::string_view name);
std::string_view reachProtocolName(std::uint8_t protocol);
/// "icmp", "tcp 80".
std::string reachPortText(std::uint8_t protocol, std::uint16_t port);

/// What the flags say about ports.
struct ReachPortChoice {
  bool probe = true;     ///< reach's own receivers, and ICMP
  bool declared = true;  ///< what containers declare
  std::vector<net::ReachPort> named;
  std::set<std::uint8_t> protocols;  ///< those alone

  /// Of --port and --protocol; kBadRequest.
  static Result<ReachPortChoice> of(const std::vector<std::string>& ports,
                                    const std::vector<std::string>& protocols);
  /// At which an end is to be probed. `port`: the one behind an address outside, or 0.
  std::vector<net::ReachPort> portsOf(const ReachEnd& end, std::uint16_t port = 0) const;
};

/// The text before and behind the first `mark`; nullopt without one.
std::optional<std::pair<std::string_view, std::string_view>> cutAt(std::string_view text,
                                                                   char mark);
/// From 1 to 65535.
std::optional<std::uint16_t> portNumber(std::string_view text);

}  // namespace podlab::cli
