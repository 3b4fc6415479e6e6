#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/naive.hpp"

namespace podlab::scheduler {

/// Pods that wait for room which they have made, or were promised, on a node: they count there for
/// pods of lower or equal priority (upstream: nominator).
class Nominations {
 public:
  using Pods = std::vector<std::shared_ptr<const PodInfo>>;

  /// In place of what the pod had.
  void set(std::shared_ptr<const PodInfo> pod, const std::string& node);
  void clear(const std::string& key);
  /// nullptr: none.
  const std::string* nodeOf(const std::string& key) const;
  bool empty() const { return nodes_.empty(); }
  /// Those on the node that `pod` must leave room for; in the order of their keys.
  Pods ahead(const PodInfo& pod, const std::string& node) const;
  /// Those on the node that have a lower priority than `pod`.
  Pods behind(const PodInfo& pod, const std::string& node) const;
  /// All on the node.
  Pods on(const std::string& node) const;
  /// Whether `pod` must leave room for any pod at all.
  bool concern(const PodInfo& pod) const;

 private:
  std::map<std::string, std::string> nodes_;                                           ///< by pod
  std::map<std::string, std::map<std::string, std::shared_ptr<const PodInfo>>> pods_;  ///< by node
};

/// The node must pass with the pods that are nominated to it, for they may come, and without them,
/// for they may not (runtime.RunFilterPluginsWithNominatedPods).
Rejection rejectWith(const Nominations::Pods& nominated, const PodFilter& filter,
                     const NodeInfo& node);

/// What filterNodes() says, and what nominated pods add to it.
std::vector<NodeVerdict> filterNodes(const PodInfo& pod, const Snapshot& snapshot,
                                     const Nominations& nominations);

}  // namespace podlab::scheduler
