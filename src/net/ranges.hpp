#pragma once
#include <string>
#include <vector>

#include "common/status.hpp"
#include "net/address.hpp"
#include "net/netlink_socket.hpp"

namespace podlab::net {

/// A range with what it is for: "pod range of the cluster", "route on eth0".
struct NamedRange {
  std::string name;
  Cidr range;
};

/// kInvalid, naming both, when one of `wanted` overlaps another of them or one of `taken`.
Status validateRanges(const std::vector<NamedRange>& wanted, const std::vector<NamedRange>& taken);

/// What this host's routes and addresses occupy (default routes and podlab's own apart), in the
/// socket's namespace.
Result<std::vector<NamedRange>> hostRanges(NetlinkSocket& socket);

/// A pod range for each family, in their order: 10.244.0.0/16 and fd00:244::/48, or the next ones
/// that overlap nothing taken (10.245.0.0/16 up to 10.254.0.0/16, then 172.30.0.0/16; fd00:245::/48
/// and on).
Result<std::vector<Cidr>> chooseClusterRanges(const std::vector<Family>& families,
                                              const std::vector<NamedRange>& taken);

}  // namespace podlab::net
