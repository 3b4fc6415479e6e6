#pragma once
#include <optional>
#include <string>
#include <vector>

#include "common/co.hpp"
#include "common/status.hpp"
#include "net/address.hpp"
#include "net/nft_table.hpp"
#include "net/peer_probe.hpp"

namespace podlab::node {

/// The namespaces of a pod, pinned as files (bind mounts of nsfs) below one folder. An empty path
/// is the node's (hostNetwork, hostIPC).
struct SandboxNamespaces {
  std::string network;
  std::string ipc;
  std::string uts;
};

struct SandboxSpec {
  std::string podUid;
  std::string hostname;
  bool hostNetwork = false;
  bool hostIpc = false;
  std::vector<net::IpAddress> addresses;  ///< at most one a family; empty with hostNetwork
};

/// A peer as the Node objects describe it.
struct Peer {
  std::string node;
  std::vector<net::Cidr> podRanges;
  std::vector<net::IpAddress> underlay;  ///< at most one a family
  net::MacAddress vxlanMac;
  bool operator==(const Peer&) const = default;
};

/// How a node reaches one of its peers, by one of the peer's ranges.
struct PeerFinding {
  std::string peer;
  net::PeerVerdict verdict;
};

/// What the dataplane must be told once the node knows its ranges.
struct NodeNetwork {
  std::vector<net::Cidr> podRanges;  ///< this node's, at most one a family
  std::vector<net::Cidr> clusterRanges;
  std::string backend = "vxlan";  ///< or "host-gw"
};

/// What the node publishes about itself, in its Node object.
struct NodeNetworkInfo {
  std::vector<net::IpAddress> underlay;
  /// None: no packet passes between this node's pods and others' (it is hollow), and it is nobody's
  /// peer.
  std::optional<net::MacAddress> vxlanMac;
  int mtu = 0;  ///< of pods
};

/// The node's network: kernel or simulated. Everything it makes carries its mark; calls are
/// idempotent and may be repeated after a crash. Errors name the link, route or entry.
class Dataplane {
 public:
  virtual ~Dataplane() = default;
  /// What this node's underlay offers, before it has a range.
  virtual Co<Result<NodeNetworkInfo>> discover() = 0;
  /// Bridge and overlay device for this node; repeated with another range it changes them.
  virtual Co<Status> configureNode(NodeNetwork network) = 0;
  /// Makes the kernel's entries for peers exactly those given.
  virtual Co<Status> setPeers(std::vector<Peer> peers) = 0;
  /// Whether the node reaches these, by net::probePeers(): a finding for each of their ranges.
  /// Takes seconds where one does not answer. `session` tells the packets of one call from
  /// another's.
  virtual Co<Result<std::vector<PeerFinding>>> probePeers(std::vector<Peer> peers,
                                                          std::uint16_t session) = 0;
  /// What the node enforces of network policies; nullopt: nothing. Applied at once, by what
  /// differs, and kept like the rest.
  virtual Co<Status> setFirewall(std::optional<net::NftTable> table) = 0;
  /// New namespaces for a pod, pinned, with hostname, loopback, address and routes. When they exist
  /// with the same addresses, they are kept and repaired.
  virtual Co<Result<SandboxNamespaces>> createSandbox(SandboxSpec spec) = 0;
  /// Unpins and removes; absent is OK.
  virtual Co<Status> removeSandbox(std::string podUid) = 0;
  /// Sandboxes that exist now, by pod uid.
  virtual Co<Result<std::vector<std::string>>> listSandboxes() = 0;
};

}  // namespace podlab::node
