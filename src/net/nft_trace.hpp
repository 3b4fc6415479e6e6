#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "common/co.hpp"
#include "common/status.hpp"
#include "net/address.hpp"
#include "net/netlink_events.hpp"
#include "net/netlink_socket.hpp"

namespace podlab::net {

/// What a packet is told by.
struct PacketFlow {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;  ///< IP protocol number
  std::uint16_t port = 0;     ///< the destination's; 0 of ICMP
  auto operator<=>(const PacketFlow&) const = default;
};

/// What the kernel says of a packet's way through rules of nftables.
struct NftTraceEvent {
  std::uint32_t id = 0;  ///< of the packet
  std::optional<PacketFlow> packet;
  std::uint8_t family = 0;  ///< of the table
  std::string table;
  std::string chain;
  std::uint64_t rule = 0;  ///< its handle; 0: the chain's policy
  bool dropped = false;
};
/// nullopt: of another kind, or cut short.
std::optional<NftTraceEvent> parseTraceEvent(const ReceivedMessage& message);

/// Follows the packets between some addresses, and those of a tunnel, through all rules of nftables
/// of one network namespace, whoever made them. Its own table is gone when it is destroyed, or its
/// process dies.
class NftTrace {
 public:
  static Result<std::unique_ptr<NftTrace>> open(
      const asio::any_io_executor& executor, const std::string& networkPath,
      const std::set<std::pair<IpAddress, IpAddress>>& pairs, std::uint16_t tunnelPort);

  /// Takes in what the kernel tells, until it is cancelled.
  static Co<void> follow(std::shared_ptr<NftTrace> trace);
  /// Takes in what has been told, and names the rules. Blocks for moments.
  void finish();

  /// Who dropped a packet: "by NetworkPolicy: isolated by demo/deny", or by which table, chain and
  /// rule. Port 0 is any.
  std::optional<std::string> dropOf(const PacketFlow& flow) const;
  bool seen(const PacketFlow& flow) const { return seen_.contains(flow); }

 private:
  NftTrace(NetlinkSocket socket, std::unique_ptr<NetlinkEvents> events);
  void drain();
  std::string ruleText(const NftTraceEvent& drop);

  NetlinkSocket socket_;  // owns the table
  std::unique_ptr<NetlinkEvents> events_;
  std::map<std::uint32_t, PacketFlow> packets_;
  std::set<PacketFlow> seen_;
  std::map<PacketFlow, NftTraceEvent> dropped_;
  std::map<PacketFlow, std::string> reasons_;
};

}  // namespace podlab::net
