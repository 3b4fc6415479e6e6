#pragma once
#include <cstdint>
#include <vector>

#include "common/status.hpp"
#include "common/time.hpp"
#include "net/netlink_message.hpp"
#include "net/netlink_socket.hpp"

namespace podlab::net {

/// What a link does to the packets that it sends: its queueing disciplines.
struct LinkShape {
  Duration delay{};                 ///< of each packet, by netem
  Duration jitter{};                ///< by which the delay varies, up and down
  std::uint64_t bitsPerSecond = 0;  ///< by tbf; 0: as fast as it can
  bool isPlain() const { return delay == Duration(0) && bitsPerSecond == 0; }
  bool operator==(const LinkShape&) const = default;
};

/// The requests that give the link a shape; it must be plain before.
std::vector<NetlinkMessage> shapeLink(int linkIndex, int mtu, const LinkShape& shape);
/// The request that makes a shaped link plain.
NetlinkMessage unshapeLink(int linkIndex);

/// Carries out shapeLink(); the link is plain after a failure. kHostUnsupported names what the
/// kernel lacks, and the remedy.
Status setLinkShape(NetlinkSocket& socket, int linkIndex, int mtu, const LinkShape& shape);

}  // namespace podlab::net
