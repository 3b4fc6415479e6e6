#pragma once
#include <functional>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/filesystem.hpp"
#include "node/container_cgroup.hpp"

namespace podlab::node {

/// The cgroups of a node's pods and containers, from their containers' start, when the shim makes
/// them (CgroupPlan), to their removal. Does nothing on a node without cgroups.
class CgroupTree {
 public:
  CgroupTree(const NodeCgroups& node, Clock& clock, Filesystem& files)
      : node_(node), clock_(clock), files_(files) {}

  /// The files by which a process enters the container's cgroups, those that are there.
  std::vector<std::string> processFiles(const std::string& podUid, const std::string& id) const;
  /// What runs there still, such as a runtime at its end, is killed.
  Co<Status> removeContainer(std::string podUid, std::string id);
  /// When its last container is gone.
  Status removePod(const std::string& podUid);
  /// After a crash: cgroups of containers that never ran, or are gone.
  void removeUnknown(const std::function<bool(const std::string& id)>& isKnown);

 private:
  const NodeCgroups& node_;
  Clock& clock_;
  Filesystem& files_;
};

}  // namespace podlab::node
