#include "scheduler/node_info.hpp"

#include <algorithm>
#include <set>

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
  requested_ += pod->shape->requests;
  scoredCpuMilli_ += pod->shape->scoredCpuMilli;
  scoredMemoryBytes_ += pod->shape->scoredMemoryBytes;
  pods_.push_back(std::move(pod));
}

void NodeInfo::remove(std::string_view key) {
  const auto it =
      std::ranges::find(pods_, key, [](const auto& pod) -> const std::string& { return pod->key; });
  if (it == pods_.end()) return;
  requested_ -= (*it)->shape->requests;
  scoredCpuMilli_ -= (*it)->shape->scoredCpuMilli;
  scoredMemoryBytes_ -= (*it)->shape->scoredMemoryBytes;
  *it = std::move(pods_.back());
  pods_.pop_back();
}

const std::string* NodeInfo::label(std::string_view key) const {
  const auto& labels = node_->metadata().labels();
  const auto found = labels.find(std::string(key));
  return found == labels.end() ? nullptr : &found->second;
}

Snapshot::Slot Snapshot::find(std::string_view name) const {
  const auto found = byName_.find(name);
  return found == byName_.end() ? kNoSlot : found->second;
}

Snapshot::Slot Snapshot::slotOf(const std::string& name) {
  const auto [entry, isNew] = byName_.try_emplace(name, kNoSlot);
  if (!isNew) return entry->second;
  if (free_.empty()) {
    entry->second = nodes_.size();
    nodes_.emplace_back();
    names_.push_back(name);
  } else {
    entry->second = free_.back();
    free_.pop_back();
    names_[entry->second] = name;
  }
  return entry->second;
}

namespace {

bool sameImages(const corev1::Node* a, const corev1::Node* b) {
  if (a == nullptr || b == nullptr) return false;
  return std::ranges::equal(
      a->status().images(), b->status().images(), [](const auto& x, const auto& y) {
        return x.sizebytes() == y.sizebytes() && std::ranges::equal(x.names(), y.names());
      });
}

}  // namespace

void Snapshot::setNode(Slot slot, NodePtr node) {
  NodeInfo& info = nodes_[slot];
  const bool same = sameImages(info.node(), node.get());
  if (info.node() != nullptr) {
    --nodeCount_;
    if (!same) countImages(info, true);
  }
  info.setNode(std::move(node));
  if (info.node() != nullptr) {
    ++nodeCount_;
    if (!same) countImages(info, false);
  }
}

void Snapshot::release(Slot slot) {
  setNode(slot, nullptr);
  nodes_[slot] = NodeInfo();
  byName_.erase(names_[slot]);
  names_[slot].clear();
  free_.push_back(slot);
}

void Snapshot::setNamespace(const std::string& name, const api::Labels* labels) {
  if (labels != nullptr) {
    namespaces_[name] = *labels;
  } else {
    namespaces_.erase(name);
  }
}

void Snapshot::countImages(const NodeInfo& node, bool gone) {
  for (const auto& image : node.node()->status().images()) {
    for (const auto& name : std::set<std::string>(image.names().begin(), image.names().end())) {
      if (gone) {
        const auto known = imageNodes_.find(name);
        if (--known->second == 0) imageNodes_.erase(known);
      } else {
        ++imageNodes_[name];
      }
    }
  }
}

}  // namespace podlab::scheduler
