#include "scheduler/nominations.hpp"

#include <algorithm>
#include <utility>

namespace podlab::scheduler {
namespace {

bool isAhead(const PodInfo& nominated, const PodInfo& pod) {
  return nominated.priority >= pod.priority && nominated.key != pod.key;
}

}  // namespace

void Nominations::set(std::shared_ptr<const PodInfo> pod, const std::string& node) {
  clear(pod->key);
  nodes_[pod->key] = node;
  pods_[node][pod->key] = std::move(pod);
}

void Nominations::clear(const std::string& key) {
  const auto node = nodes_.find(key);
  if (node == nodes_.end()) return;
  const auto pods = pods_.find(node->second);
  pods->second.erase(key);
  if (pods->second.empty()) pods_.erase(pods);
  nodes_.erase(node);
}

const std::string* Nominations::nodeOf(const std::string& key) const {
  const auto node = nodes_.find(key);
  return node == nodes_.end() ? nullptr : &node->second;
}

Nominations::Pods Nominations::on(const std::string& node) const {
  Pods pods;
  const auto found = pods_.find(node);
  if (found == pods_.end()) return pods;
  for (const auto& [key, pod] : found->second) pods.push_back(pod);
  return pods;
}

Nominations::Pods Nominations::ahead(const PodInfo& pod, const std::string& node) const {
  Pods pods = on(node);
  std::erase_if(pods, [&pod](const auto& nominated) { return !isAhead(*nominated, pod); });
  return pods;
}

Nominations::Pods Nominations::behind(const PodInfo& pod, const std::string& node) const {
  Pods pods = on(node);
  std::erase_if(pods,
                [&pod](const auto& nominated) { return nominated->priority >= pod.priority; });
  return pods;
}

bool Nominations::concern(const PodInfo& pod) const {
  return std::ranges::any_of(pods_, [&pod](const auto& node) {
    return std::ranges::any_of(
        node.second, [&pod](const auto& nominated) { return isAhead(*nominated.second, pod); });
  });
}

Rejection rejectWith(const Nominations::Pods& nominated, const PodFilter& filter,
                     const NodeInfo& node) {
  if (!nominated.empty()) {
    PodFilter with = filter;
    NodeInfo full = node;
    for (const auto& pod : nominated) {
      full.add(pod);
      with.count(*pod, full, 1);
    }
    if (Rejection rejection = with.reject(full); !rejection.filter.empty()) return rejection;
  }
  return filter.reject(node);
}

std::vector<NodeVerdict> filterNodes(const PodInfo& pod, const Snapshot& snapshot,
                                     const Nominations& nominations) {
  const PodFilter filter(pod, snapshot);
  std::vector<NodeVerdict> verdicts;
  verdicts.reserve(snapshot.nodeCount());
  for (Snapshot::Slot slot = 0; slot < snapshot.slots(); ++slot) {
    const NodeInfo& node = snapshot.at(slot);
    if (node.node() == nullptr) continue;
    verdicts.push_back(
        {slot, rejectWith(nominations.ahead(pod, snapshot.name(slot)), filter, node)});
  }
  return verdicts;
}

}  // namespace podlab::scheduler
