#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "scheduler/pod_info.hpp"

namespace podlab::scheduler {

/// A node with the pods on it, assumed ones included, and their sums.
class NodeInfo {
 public:
  /// Replaces the node object; the pods stay.
  void setNode(NodePtr node);
  /// Adds the pod, which is not on the node yet; or takes it away, absent is no error.
  void add(std::shared_ptr<const PodInfo> pod);
  void remove(std::string_view key);

  /// nullptr when only pods of this node are known, and not the node.
  const corev1::Node* node() const { return node_.get(); }
  const NodePtr& nodePtr() const { return node_; }
  const std::string* label(std::string_view key) const;
  const Resources& allocatable() const { return allocatable_; }
  std::int64_t allocatablePods() const { return allocatablePods_; }
  const Resources& requested() const { return requested_; }
  std::int64_t scoredCpuMilli() const { return scoredCpuMilli_; }
  std::int64_t scoredMemoryBytes() const { return scoredMemoryBytes_; }
  /// In no order that means anything.
  const std::vector<std::shared_ptr<const PodInfo>>& pods() const { return pods_; }

 private:
  NodePtr node_;
  Resources allocatable_;
  std::int64_t allocatablePods_ = 0;
  Resources requested_;
  std::int64_t scoredCpuMilli_ = 0;
  std::int64_t scoredMemoryBytes_ = 0;
  std::vector<std::shared_ptr<const PodInfo>> pods_;
};

/// What decisions are made on: the nodes with their pods, the labels of namespaces, the images.
/// A node has the same slot for its whole life, and ties are broken in the order of slots.
class Snapshot {
 public:
  using Slot = std::size_t;
  static constexpr Slot kNoSlot = static_cast<Slot>(-1);

  /// Made when there is none of this name.
  Slot slotOf(const std::string& name);
  Slot find(std::string_view name) const;
  void setNode(Slot slot, NodePtr node);
  /// Frees the slot of a node that is gone, with its pods.
  void release(Slot slot);

  /// Beyond the last slot in use.
  Slot slots() const { return nodes_.size(); }
  NodeInfo& at(Slot slot) { return nodes_[slot]; }
  const NodeInfo& at(Slot slot) const { return nodes_[slot]; }
  const std::string& name(Slot slot) const { return names_[slot]; }
  /// Those whose node object is known.
  std::size_t nodeCount() const { return nodeCount_; }

  const NamespaceLabels& namespaces() const { return namespaces_; }
  /// nullptr: the namespace is gone.
  void setNamespace(const std::string& name, const api::Labels* labels);
  /// On how many nodes each image is.
  const std::map<std::string, std::size_t>& imageNodes() const { return imageNodes_; }

 private:
  void countImages(const NodeInfo& node, bool gone);

  std::vector<NodeInfo> nodes_;
  std::vector<std::string> names_;
  std::vector<Slot> free_;
  std::map<std::string, Slot, std::less<>> byName_;
  std::size_t nodeCount_ = 0;
  NamespaceLabels namespaces_;
  std::map<std::string, std::size_t> imageNodes_;
};

}  // namespace podlab::scheduler
