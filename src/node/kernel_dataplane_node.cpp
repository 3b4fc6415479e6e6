#include "node/kernel_dataplane_node.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "common/log.hpp"
#include "net/link.hpp"
#include "net/netlink_socket.hpp"
#include "net/routing.hpp"
#include "net/sysctl_record.hpp"
#include "net/underlay.hpp"

namespace podlab::node {
namespace {

constexpr Duration kPeerPatience = std::chrono::seconds(2);

// Of the thread's present network namespace.
Result<UniqueFd> openCurrentNetwork() {
  UniqueFd fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!fd) return errnoStatus(errno, "open /proc/thread-self/ns/net");
  return fd;
}

net::NamespacePins::Wanted wantedNamespaces(const SandboxSpec& spec) {
  net::NamespacePins::Wanted wanted;
  // A pod on the node's network has its hostname, too.
  wanted.network = wanted.uts = !spec.hostNetwork;
  wanted.ipc = !spec.hostIpc;
  wanted.hostname = spec.hostname;
  return wanted;
}

SandboxNamespaces sandboxOf(const net::NamespacePaths& paths) {
  return {paths.network, paths.ipc, paths.uts};
}

Status checkAddresses(const SandboxSpec& spec, const net::NodeLayout& layout) {
  if (spec.addresses.empty()) {
    return Status(Code::kInvalid, "pod " + spec.podUid + " has no address");
  }
  for (const net::IpAddress& address : spec.addresses) {
    if (std::ranges::any_of(layout.ranges,
                            [&](const net::Cidr& range) { return range.contains(address); })) {
      continue;
    }
    return Status(Code::kInvalid, "address " + address.toString() + " of pod " + spec.podUid +
                                      " is in none of this node's ranges");
  }
  return Status();
}

}  // namespace

KernelDataplaneNode::KernelDataplaneNode(KernelDataplaneOptions options)
    : options_(std::move(options)), firewall_(options_.networkNamespace) {}

Result<net::NamespacePins*> KernelDataplaneNode::pins() {
  std::scoped_lock lock(stateMutex_);
  if (!pins_) {
    auto opened = net::NamespacePins::open(options_.pinFolder);
    if (!opened) return opened.status();
    pins_ = std::move(*opened);
  }
  return &*pins_;
}

Result<KernelDataplaneNode::Applied> KernelDataplaneNode::applied() const {
  std::scoped_lock lock(stateMutex_);
  if (!applied_) return Status(Code::kUnavailable, "the node has no pod range yet");
  return *applied_;
}

std::shared_ptr<KernelDataplaneNode::Pod> KernelDataplaneNode::podOf(const std::string& uid) {
  std::scoped_lock lock(stateMutex_);
  std::shared_ptr<Pod>& pod = pods_[uid];
  if (!pod) {
    pod = std::make_shared<Pod>();
    pod->link.podUid = uid;
  }
  return pod;
}

std::map<std::string, std::shared_ptr<KernelDataplaneNode::Pod>> KernelDataplaneNode::podsNow()
    const {
  std::scoped_lock lock(stateMutex_);
  return pods_;
}

Result<net::Underlay> KernelDataplaneNode::findUnderlay(net::NetlinkSocket& socket) const {
  auto underlay = net::findUnderlay(socket, options_.nodeIp);
  if (underlay && options_.underlayMtu)
    underlay->mtu = std::min(underlay->mtu, *options_.underlayMtu);
  return underlay;
}

Result<NodeNetworkInfo> KernelDataplaneNode::discover() {
  return net::inNetworkNamespace(options_.networkNamespace, [&]() -> Result<NodeNetworkInfo> {
    auto socket = net::NetlinkSocket::open();
    if (!socket) return socket.status();
    auto underlay = findUnderlay(*socket);
    if (!underlay) return underlay.status();
    net::NodeLayout layout;
    layout.underlay = *underlay;
    if (auto now = applied(); now) layout.vxlan = now->layout.vxlan;
    return NodeNetworkInfo{underlay->addresses, net::overlayMac(underlay->addresses.front()),
                           layout.mtu()};
  });
}

Status KernelDataplaneNode::configure(NodeNetwork network) {
  if (network.backend != "vxlan" && network.backend != "host-gw") {
    return Status(Code::kInvalid,
                  "backend \"" + network.backend + "\" is unknown: \"vxlan\" or \"host-gw\"");
  }
  if (network.podRanges.empty()) return Status(Code::kInvalid, "the node has no pod range");
  {
    std::scoped_lock lock(nodeMutex_);
    network_ = std::move(network);
  }
  DirtyParts all;
  all.node = all.allPods = true;
  return reconcile(all);
}

Status KernelDataplaneNode::setPeers(std::vector<Peer> peers) {
  {
    std::scoped_lock lock(nodeMutex_);
    peers_.clear();
    for (Peer& peer : peers) {
      peers_.push_back({std::move(peer.node), std::move(peer.podRanges), std::move(peer.underlay),
                        peer.vxlanMac});
    }
    if (!network_) return Status();
  }
  DirtyParts parts;
  parts.node = true;
  return reconcile(parts);
}

Result<std::vector<PeerFinding>> KernelDataplaneNode::probePeers(const std::vector<Peer>& peers,
                                                                 std::uint16_t session) {
  const auto now = applied();
  if (!now) return now.status();
  const net::NodeLayout& layout = now->layout;
  std::vector<PeerFinding> findings;
  std::vector<net::PeerTarget> targets;
  for (const Peer& peer : peers) {
    for (const auto& range : peer.podRanges) {
      findings.push_back({peer.node, {}});
      targets.push_back({peer.underlay.front(), net::NodeLayout::gateway(range)});
    }
  }
  const auto answers = net::inNetworkNamespace(options_.networkNamespace, [&] {
    return net::probePeers(targets, layout.mtu(), session, kPeerPatience);
  });
  if (!answers) return answers.status();
  const net::PeerPath path{layout.vxlan, layout.vxlanPort, layout.mtu()};
  for (std::size_t i = 0; i < targets.size(); ++i) {
    findings[i].verdict = net::judgePeer(targets[i], (*answers)[i], path);
  }
  return findings;
}

Status KernelDataplaneNode::reconcile(DirtyParts parts) {
  Status first;
  auto keep = [&](const Status& status) {
    if (first.ok()) first = status;
  };
  if (parts.node) {
    keep(net::inNetworkNamespace(options_.networkNamespace, [&] { return reconcileNode(parts); }));
  }
  if (parts.firewall || parts.firewallPerhaps) keep(firewall_.repair(parts.firewall));
  if (!parts.allPods && parts.pods.empty()) return first;
  for (const auto& [uid, pod] : podsNow()) {
    if (!parts.allPods && !parts.pods.contains(uid)) continue;
    keep(net::inNetworkNamespace(options_.networkNamespace, [&] { return repairPod(*pod); }));
  }
  return first;
}

/// Adds the pods whose links must be looked at for it to `affected`.
Status KernelDataplaneNode::reconcileNode(DirtyParts& affected) {
  std::scoped_lock lock(nodeMutex_);
  if (!network_) return Status();
  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  auto underlay = findUnderlay(*socket);
  if (!underlay) return underlay.status();
  Applied next;
  next.layout.ranges = network_->podRanges;
  next.layout.clusterRanges = network_->clusterRanges;
  next.layout.underlay = *underlay;
  next.layout.vxlan = network_->backend == "vxlan";
  next.layout.vxlanId = options_.vxlanId;
  next.layout.vxlanPort = options_.vxlanPort;
  auto links = net::ensureNode(*socket, next.layout, net::SysctlRecord(options_.sysctlFile));
  if (!links) return links.status();
  next.links = *links;
  {
    std::scoped_lock state(stateMutex_);
    affected.allPods |= applied_ && (applied_->links.bridge != next.links.bridge ||
                                     applied_->layout.mtu() != next.layout.mtu() ||
                                     applied_->layout.ranges != next.layout.ranges);
    applied_ = next;
  }
  net::PlannedTables plan = net::planTables(next.layout, next.links, peers_);
  auto actual = net::readTables(*socket, next.links);
  if (!actual) return actual.status();
  Status changed = socket->executeAll(net::tableChanges(*actual, plan.tables));
  Status cleaned = removeOrphans(*socket, next, affected);
  if (!changed) return changed;
  return cleaned.ok() ? plan.problem : cleaned;
}

/// Pod links whose pod is gone, as after a crash in the middle of a removal, and neighbour entries
/// of pods that went. Pods that have lost theirs, as all do when the bridge's MAC address changes,
/// are affected.
Status KernelDataplaneNode::removeOrphans(net::NetlinkSocket& socket, const Applied& now,
                                          DirtyParts& affected) {
  auto folder = pins();
  if (!folder) return folder.status();
  // In this order: a pod has its folder before its link, and its link goes before its folder.
  auto links = net::listLinks(socket);
  if (!links) return links.status();
  auto neighbours = net::listNeighbours(socket, now.links.bridge);
  if (!neighbours) return neighbours.status();
  auto pinned = (*folder)->list();
  if (!pinned) return pinned.status();
  std::vector<net::NetlinkMessage> messages;
  for (const net::Link& link : *links) {
    const std::string uid = net::podUidOfAlias(link.alias);
    if (uid.empty() || std::ranges::binary_search(*pinned, uid)) continue;
    logInfo("pod_link_orphaned", {{"link", link.name}, {"uid", uid}});
    messages.push_back(net::deleteLink(link.name));
  }
  std::set<net::IpAddress> known;
  for (const auto& [uid, pod] : podsNow()) {
    std::scoped_lock state(stateMutex_);
    for (const net::IpAddress& address : pod->link.addresses) {
      known.insert(address);
      const net::Neighbour wanted{now.links.bridge, address,
                                  net::macFromAddress(pod->link.addresses.front())};
      if (std::ranges::find(*neighbours, wanted) == neighbours->end()) affected.pods.insert(uid);
    }
  }
  for (const net::Neighbour& neighbour : *neighbours) {
    if (!known.contains(neighbour.address)) messages.push_back(net::deleteNeighbour(neighbour));
  }
  for (const Status& status : socket.executeEach(std::move(messages))) {
    if (!status && !status.is(Code::kNotFound)) return status;
  }
  return Status();
}

/// Runs in the pod's network namespace, with the node's socket.
Status KernelDataplaneNode::ensurePod(Pod& pod, net::NetlinkSocket& socket, const Applied& now,
                                      bool exactAddresses) {
  auto network = openCurrentNetwork();
  if (!network) return network.status();
  auto inside = net::NetlinkSocket::open();
  if (!inside) return inside.status();
  auto port = net::ensurePodLink(socket, *inside, network->get(), now.layout, now.links, pod.link,
                                 exactAddresses);
  if (!port) return port.status();
  std::optional<int> id;
  {
    std::scoped_lock state(stateMutex_);
    id = pod.namespaceId;
  }
  if (!id) {
    auto assigned = net::namespaceId(socket, network->get());
    if (!assigned) return assigned.status();
    id = *assigned;
  }
  std::scoped_lock state(stateMutex_);
  pod.portIndex = *port;
  pod.namespaceId = id;
  return Status();
}

Status KernelDataplaneNode::repairPod(Pod& pod) {
  std::scoped_lock lock(pod.mutex);
  if (pod.removed || pod.networkPath.empty()) return Status();
  auto now = applied();
  if (!now) return now.status();
  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  Status status = net::inNetworkNamespace(
      pod.networkPath, [&] { return ensurePod(pod, *socket, *now, /*exactAddresses=*/false); });
  return status.withContext("pod " + pod.link.podUid);
}

Result<SandboxNamespaces> KernelDataplaneNode::createSandbox(const SandboxSpec& spec) {
  auto folder = pins();
  if (!folder) return folder.status();
  const net::NamespacePins::Wanted wanted = wantedNamespaces(spec);
  std::optional<Applied> now;
  if (!spec.hostNetwork) {
    auto current = applied();
    if (!current) return current.status();
    now = std::move(*current);
    if (Status status = checkAddresses(spec, now->layout); !status) return status;
  }
  auto pod = podOf(spec.podUid);
  auto make = [&]() -> Result<SandboxNamespaces> {
    std::scoped_lock lock(pod->mutex);
    if (pod->removed) return Status(Code::kConflict, "pod " + spec.podUid + " is being removed");
    {
      std::scoped_lock state(stateMutex_);
      pod->link.addresses = spec.addresses;
    }
    auto socket = net::NetlinkSocket::open();
    if (!socket) return socket.status();
    auto connect = [&] { return ensurePod(*pod, *socket, *now, /*exactAddresses=*/true); };
    auto paths = (*folder)->find(spec.podUid, wanted);
    if (paths) {
      if (!spec.hostNetwork) {
        Status status = net::inNetworkNamespace(paths->network, connect);
        if (!status) return status;
      }
    } else {
      if (Status removed = (*folder)->remove(spec.podUid); !removed) return removed;
      auto inside = [&]() -> Status {
        if (spec.hostNetwork) return Status();
        if (Status status = net::preparePodNamespace(now->layout); !status) return status;
        return connect();
      };
      auto made = (*folder)->create(spec.podUid, wanted, inside);
      if (!made) {
        // The namespace goes by itself and takes the link along, but later.
        Status gone = net::removePodLink(*socket, spec.podUid);
        if (!gone) logWarning("pod_link_left", {{"uid", spec.podUid}, {"error", gone}});
        return made.status();
      }
      paths = std::move(*made);
    }
    pod->networkPath = paths->network;
    return sandboxOf(*paths);
  };
  auto sandbox = net::inNetworkNamespace(options_.networkNamespace, make);
  if (!sandbox) return sandbox.status().withContext("sandbox of pod " + spec.podUid);
  return sandbox;
}

Status KernelDataplaneNode::removeSandbox(const std::string& podUid) {
  auto folder = pins();
  if (!folder) return folder.status();
  auto pod = podOf(podUid);
  std::scoped_lock lock(pod->mutex);
  pod->removed = true;
  Status status = net::inNetworkNamespace(options_.networkNamespace, [&]() -> Status {
    auto socket = net::NetlinkSocket::open();
    if (!socket) return socket.status();
    return net::removePodLink(*socket, podUid);
  });
  if (status) status = (*folder)->remove(podUid);
  if (!status) {
    // So that the call can be repeated.
    pod->removed = false;
    return status.withContext("remove the sandbox of pod " + podUid);
  }
  std::scoped_lock state(stateMutex_);
  pods_.erase(podUid);
  return Status();
}

Result<std::vector<std::string>> KernelDataplaneNode::listSandboxes() {
  auto folder = pins();
  if (!folder) return folder.status();
  return (*folder)->list();
}

Status KernelDataplaneNode::removeAll() {
  auto sandboxes = listSandboxes();
  if (!sandboxes) return sandboxes.status();
  for (const std::string& uid : *sandboxes) {
    if (Status status = removeSandbox(uid); !status) return status;
  }
  {
    std::scoped_lock lock(nodeMutex_);
    network_.reset();
    peers_.clear();
  }
  Status status = net::inNetworkNamespace(options_.networkNamespace, [&]() -> Status {
    auto socket = net::NetlinkSocket::open();
    if (!socket) return socket.status();
    return net::removeNode(*socket);
  });
  if (Status gone = firewall_.set(std::nullopt); status) status = gone;
  std::scoped_lock state(stateMutex_);
  applied_.reset();
  if (!status) return status;
  status = pins_->removeAll();
  pins_.reset();
  return status;
}

void KernelDataplaneNode::classify(const net::NetworkEvent& event, DirtyParts& dirty) {
  using Table = net::NetworkEvent::Table;
  std::scoped_lock state(stateMutex_);
  if (!applied_) return;
  // In pods a new entry harms nothing; what takes the place of ours shows as a removal or a link's
  // change.
  const bool podMatters =
      event.table == Table::kLink ||
      (event.removed && event.table != Table::kNeighbour && event.table != Table::kSetting);
  if (event.namespaceId) {
    if (!podMatters) return;
    for (const auto& [uid, pod] : pods_) {
      if (pod->namespaceId == event.namespaceId) dirty.pods.insert(uid);
    }
    return;
  }
  const net::NodeLinks& links = applied_->links;
  const bool overlay = links.vxlan != 0 && event.linkIndex == links.vxlan;
  switch (event.table) {
    case Table::kRoute:
      dirty.node = true;
      return;
    case Table::kNeighbour:
      dirty.node |= overlay || (event.removed && event.linkIndex == links.bridge);
      return;
    case Table::kSetting:
      dirty.node |= overlay || event.linkIndex == links.bridge ||
                    event.linkIndex == net::NetworkEvent::kAllLinks;
      return;
    case Table::kAddress:
    case Table::kLink:
      if (overlay || event.linkIndex == links.bridge ||
          event.linkIndex == applied_->layout.underlay.linkIndex) {
        dirty.node = true;
        return;
      }
      for (const auto& [uid, pod] : pods_) {
        if (pod->portIndex == event.linkIndex) dirty.pods.insert(uid);
      }
  }
}

}  // namespace podlab::node
