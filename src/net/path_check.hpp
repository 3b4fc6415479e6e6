#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/status.hpp"
#include "net/address.hpp"
#include "net/nft_trace.hpp"

namespace podlab::net {

/// An end of a path.
struct PathEnd {
  std::string name;         ///< "demo/web", for messages
  std::string node;         ///< where it is; empty: outside of the cluster
  std::string podUid;       ///< empty: not a pod
  std::string networkPath;  ///< of a local pod's network namespace
  IpAddress address;
  std::vector<IpAddress> underlay;  ///< its node's addresses there
};

/// What has failed.
struct PathProbe {
  PathEnd from;
  PathEnd to;
  std::uint8_t protocol = 0;  ///< as in ReachPort
  std::uint16_t port = 0;     ///< 0: any, as of an answer
  int size = 0;               ///< of the packet, not to be fragmented; 0: small
};

/// The UDP port of podlab's tunnel in this node's network namespace; 0: it has none, or is gone.
std::uint16_t tunnelPort(const std::string& networkPath);

/// Looks at the kernel of one node for what keeps a probe from passing: links, addresses, routes,
/// neighbours, forwarding entries, sysctls, MTUs, and the rules of nftables that a trace has seen
/// drop it. The way is looked at in its order, and the first cause told. Blocking; what it has read
/// it keeps, so an object is for one moment.
class PathCheck {
 public:
  /// `networkPath`: the node's; empty: the process's. `trace` may be null.
  PathCheck(std::string node, std::string networkPath, std::shared_ptr<const NftTrace> trace);
  ~PathCheck();

  /// On the sender's node, up to where the packet leaves it (or reaches a target of the same node);
  /// empty: nothing is wrong.
  std::string leaving(const PathProbe& probe);
  /// On the target's node, from where the packet comes in.
  std::string arriving(const PathProbe& probe);

 private:
  struct View;
  View& view(const std::string& networkPath);
  std::string insidePod(const PathEnd& end, const IpAddress& other, int size);
  std::string port(const PathEnd& pod, int size);
  std::string forwarding(const PathProbe& probe);
  std::string duplicate(const IpAddress& address, const std::string& owner);
  std::string tunnel(const PathProbe& probe);
  std::string deliver(const PathProbe& probe);
  std::string dropped(const PathProbe& probe) const;

  const std::string node_;
  const std::string networkPath_;
  const std::shared_ptr<const NftTrace> trace_;
  std::map<std::string, std::unique_ptr<View>> views_;
};

}  // namespace podlab::net
