#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/status.hpp"
#include "net/address.hpp"
#include "net/namespaces.hpp"
#include "net/netlink_monitor.hpp"
#include "net/node_network.hpp"
#include "net/pod_link.hpp"
#include "node/dataplane.hpp"
#include "node/kernel_firewall.hpp"

namespace podlab::node {

struct KernelDataplaneOptions {
  std::string pinFolder;         ///< where pods' namespaces are pinned; a private mount of its own
  std::string networkNamespace;  ///< path of the node's; empty: the process's
  std::optional<net::IpAddress> nodeIp;  ///< on the underlay; absent: of the default route's link
  std::string sysctlFile;                ///< of SysctlRecord; empty: the namespace is podlab's own
  std::uint32_t vxlanId = 1;
  std::uint16_t vxlanPort = 8472;
  std::optional<int> underlayMtu;  ///< of the underlay at most; absent: the link's
};

/// What the kernel's events say may need repair.
struct DirtyParts {
  bool node = false;
  bool allPods = false;
  std::set<std::string> pods;
  bool firewall = false;         ///< somebody has changed it
  bool firewallPerhaps = false;  ///< events were lost
  bool any() const { return node || allPods || firewall || firewallPerhaps || !pods.empty(); }
};

/// The blocking half of KernelDataplane: what it wants of the kernel, and the comparison with what
/// is. Thread-safe; sandboxes of different pods are worked on at the same time.
class KernelDataplaneNode {
 public:
  explicit KernelDataplaneNode(KernelDataplaneOptions options);

  const KernelDataplaneOptions& options() const { return options_; }
  KernelFirewall& firewall() { return firewall_; }
  Result<NodeNetworkInfo> discover();
  Status configure(NodeNetwork network);
  Status setPeers(std::vector<Peer> peers);
  Result<std::vector<PeerFinding>> probePeers(const std::vector<Peer>& peers,
                                              std::uint16_t session);
  Result<SandboxNamespaces> createSandbox(const SandboxSpec& spec);
  Status removeSandbox(const std::string& podUid);
  Result<std::vector<std::string>> listSandboxes();
  Status removeAll();

  /// Compares and repairs the parts given; the first failure, after all were tried.
  Status reconcile(DirtyParts parts);
  /// Which parts an event may concern.
  void classify(const net::NetworkEvent& event, DirtyParts& dirty);

 private:
  Result<net::Underlay> findUnderlay(net::NetlinkSocket& socket) const;
  struct Pod {
    std::mutex mutex;  // one call a pod at a time
    bool removed = false;
    net::PodLink link;  // no addresses: on the host's network
    std::string networkPath;
    // Below: under stateMutex_.
    int portIndex = 0;
    std::optional<int> namespaceId;
  };
  struct Applied {
    net::NodeLayout layout;
    net::NodeLinks links;
  };

  Result<net::NamespacePins*> pins();
  Result<Applied> applied() const;
  std::shared_ptr<Pod> podOf(const std::string& uid);
  std::map<std::string, std::shared_ptr<Pod>> podsNow() const;
  Status reconcileNode(DirtyParts& affected);
  Status removeOrphans(net::NetlinkSocket& socket, const Applied& now, DirtyParts& affected);
  Status ensurePod(Pod& pod, net::NetlinkSocket& socket, const Applied& now, bool exactAddresses);
  Status repairPod(Pod& pod);

  const KernelDataplaneOptions options_;
  KernelFirewall firewall_;
  std::mutex nodeMutex_;                 // one change of the node's own links and tables at a time
  std::optional<NodeNetwork> network_;   // under nodeMutex_
  std::vector<net::OverlayPeer> peers_;  // under nodeMutex_
  mutable std::mutex stateMutex_;        // the rest; held for moments only
  std::optional<net::NamespacePins> pins_;
  std::optional<Applied> applied_;
  std::map<std::string, std::shared_ptr<Pod>> pods_;
};

}  // namespace podlab::node
