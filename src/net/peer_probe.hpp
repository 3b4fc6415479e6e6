#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "common/status.hpp"
#include "common/time.hpp"
#include "net/address.hpp"

namespace podlab::net {

/// Another node, by one address family of pods.
struct PeerTarget {
  IpAddress underlay;  ///< its own address
  IpAddress gateway;   ///< its bridge's, behind the overlay
};

/// What has come back, of several echo requests each.
struct PeerAnswers {
  bool underlay = false;  ///< from its own address
  bool overlay = false;   ///< through the overlay
  bool full = false;      ///< the largest packet that pods may send
  bool operator==(const PeerAnswers&) const = default;
};

/// Asks them all at a time, from the calling thread's network namespace; blocking, for `patience`
/// at most. `mtu` is that of pods. Kernels answer, so that nothing need run on the other side.
Result<std::vector<PeerAnswers>> probePeers(const std::vector<PeerTarget>& targets, int mtu,
                                            std::uint16_t session, Duration patience);

/// How nodes reach each other.
struct PeerPath {
  bool vxlan = true;
  std::uint16_t vxlanPort = 8472;
  int podMtu = 0;
};
struct PeerVerdict {
  std::string problem;  ///< empty: all is well
  std::string remedy;
  std::string reason;  ///< the problem in one word, as of conditions and events
};
PeerVerdict judgePeer(const PeerTarget& target, const PeerAnswers& answers, const PeerPath& path);

}  // namespace podlab::net
