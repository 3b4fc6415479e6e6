#include "scheduler/node_info.hpp"

#include "api/pod_resources.hpp"

namespace podlab::scheduler {

void NodeInfo::setNode(NodePtr node) {
  node_ = std::move(node);
  allocatable_ = {};
  allocatablePods_ = 0;
  if (!node_) return;
  for (const auto& [name, quantity] : api::toResourceList(node_->status().allocatable())) {
    if (name == "cpu") {
      allocatable_.cpuMilli = quantity.milliValue();
    } else if (name == "memory") {
      allocatable_.memoryBytes = quantity.value();
    } else if (name == "pods") {
      allocatablePods_ = quantity.value();
    } else {
      allocatable_.others[name] = quantity.value();
    }
  }
}

void NodeInfo::add(std::shared_ptr<const PodInfo> pod) {
  requested_ += pod->requests;
  scoredCpuMilli_ += pod->scoredCpuMilli;
  scoredMemoryBytes_ += pod->scoredMemoryBytes;
  std::string key = pod->key;
  pods_.emplace(std::move(key), std::move(pod));
}

void NodeInfo::remove(const std::string& key) {
  const auto it = pods_.find(key);
  if (it == pods_.end()) return;
  requested_ -= it->second->requests;
  scoredCpuMilli_ -= it->second->scoredCpuMilli;
  scoredMemoryBytes_ -= it->second->scoredMemoryBytes;
  pods_.erase(it);
}

}  // namespace podlab::scheduler
