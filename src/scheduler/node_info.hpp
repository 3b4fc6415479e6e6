#pragma once
#include <map>
#include <string>

#include "scheduler/pod_info.hpp"

namespace podlab::scheduler {

/// A node with the pods on it, assumed ones included, and their sums.
class NodeInfo {
 public:
  /// Replaces the node object; the pods stay.
  void setNode(NodePtr node);
  /// Adds the pod, which is not on the node yet; or takes it away, absent is no error.
  void add(std::shared_ptr<const PodInfo> pod);
  void remove(const std::string& key);

  /// nullptr when only pods of this node are known, and not the node.
  const corev1::Node* node() const { return node_.get(); }
  const Resources& allocatable() const { return allocatable_; }
  std::int64_t allocatablePods() const { return allocatablePods_; }
  const Resources& requested() const { return requested_; }
  std::int64_t scoredCpuMilli() const { return scoredCpuMilli_; }
  std::int64_t scoredMemoryBytes() const { return scoredMemoryBytes_; }
  const std::map<std::string, std::shared_ptr<const PodInfo>>& pods() const { return pods_; }

 private:
  NodePtr node_;
  Resources allocatable_;
  std::int64_t allocatablePods_ = 0;
  Resources requested_;
  std::int64_t scoredCpuMilli_ = 0;
  std::int64_t scoredMemoryBytes_ = 0;
  std::map<std::string, std::shared_ptr<const PodInfo>> pods_;
};

/// The nodes by name: what decisions are made on.
using Snapshot = std::map<std::string, NodeInfo>;

}  // namespace podlab::scheduler
