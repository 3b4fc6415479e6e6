#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/object.hpp"
#include "common/filesystem.hpp"
#include "common/time.hpp"
#include "node/dataplane.hpp"
#include "node/image_store.hpp"
#include "node/node_pressure.hpp"
#include "node/peer_checks.hpp"

namespace podlab::node {

inline constexpr const char* kVxlanMacAnnotation = "podlab.io/vxlan-mac";
inline constexpr const char* kPodMtuAnnotation = "podlab.io/pod-mtu";

/// What a node says about itself that does not change while its agent runs.
struct NodeFacts {
  std::string name;
  std::map<std::string, std::string> labels;    ///< besides the well-known ones
  std::vector<corev1::Taint> taints;            ///< at registration
  std::map<std::string, std::string> capacity;  ///< resource to quantity: "cpu": "4"
  NodeNetworkInfo network;
  std::vector<corev1::ContainerImage> images;  ///< as last listed
  corev1::NodeSystemInfo system;
  std::string volumesFolder;  ///< where PersistentVolumes are made; empty: nowhere
};

/// Kernel, distribution and ids of this machine.
corev1::NodeSystemInfo readSystemInfo(Filesystem& files);

/// "cpu" and "memory" of this machine, as kubelet counts them: CPUs online, MemTotal.
std::map<std::string, std::string> readCapacity(Filesystem& files);

/// A new Node: labels, annotations, and the not-ready taint, which the server takes away once the
/// node is ready.
corev1::Node makeNode(const NodeFacts& facts);

/// Brings labels and annotations of an existing Node to the facts; others' stay. Whether anything
/// changed.
bool updateMetadata(corev1::Node& node, const NodeFacts& facts);

struct NodeReadiness {
  bool ready = false;
  std::string message;  ///< why not
};

/// The largest images, in the form of a Node's status; at most 50, as kubelet
/// (nodeStatusMaxImages).
std::vector<corev1::ContainerImage> imagesForStatus(std::vector<ListedImage> images);

/// The condition that tells of trouble with peers. Nodes have it once there was any. It says
/// nothing about the node's own readiness, and so neither taints it nor moves its pods.
inline constexpr const char* kPeerCondition = "PeerNetworkProblem";

/// Brings the status to the facts and conditions, with new heartbeat times. Whether it should be
/// written: for a heartbeat, or since more than these times has changed.
bool updateStatus(corev1::NodeStatus& status, const NodeFacts& facts,
                  const NodeReadiness& readiness, const NodePressure& pressure, bool heartbeat,
                  WallTime now, const std::optional<PeerHealth>& peers = std::nullopt);

/// The other nodes that have a range, an underlay address and a VXLAN MAC, by name.
std::vector<Peer> peersOf(const std::vector<std::shared_ptr<const corev1::Node>>& nodes,
                          const std::string& self);

}  // namespace podlab::node
