#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/node_info.hpp"

namespace podlab::scheduler {

/// A rule that a node must pass, whatever is on other nodes (kube-scheduler's filter plugins, under
/// their names). A pod's nodeName is not among them: a pod that has one is bound.
struct Filter {
  std::string_view name;
  /// Why the node is out, in upstream's words ("Insufficient cpu"), possibly several; empty when it
  /// passes.
  std::vector<std::string> (*reject)(const PodInfo& pod, const NodeInfo& node);
  /// Whether other pods' leaving the node can help (upstream: not UnschedulableAndUnresolvable).
  bool resolvable;
};

/// In the order in which they are asked; the first that rejects a node gives its reasons.
std::span<const Filter> filters();

/// What the first rejecting filter says; an empty `filter` when the node passes all.
struct Rejection {
  std::string_view filter;
  std::vector<std::string> reasons;
  bool resolvable = false;
};
Rejection runFilters(const PodInfo& pod, const NodeInfo& node);

}  // namespace podlab::scheduler
