#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "common/cgroups.hpp"
#include "common/status.hpp"

namespace podlab::lab {

/// Holds all processes of a node, wherever they are: by the cgroup freezer, of version 1 or 2. The
/// node's first process and its agent are in the cgroup NODE.init, which only this makes; its
/// containers are in NODE, which the agent makes.
class NodeFreezer {
 public:
  /// `lab`: the lab's cgroup, as a path in each hierarchy. `cgroups` must outlive it.
  NodeFreezer(const Cgroups& cgroups, std::string lab) : cgroups_(cgroups), lab_(std::move(lab)) {}

  /// OK, or kHostUnsupported with the remedy.
  Status supported() const;
  /// Takes in a node's first process, before it starts another; where the host has no freezer, does
  /// nothing.
  Status adopt(const std::string& node, pid_t pid) const;
  /// Holds them, or lets them go on; both may come true some moments later.
  Status set(const std::string& node, bool frozen) const;
  /// The node's cgroups in all hierarchies, for when its processes have ended.
  std::vector<std::string> folders(const std::string& node) const;

 private:
  std::string initPath(const std::string& node) const { return lab_ + "/" + node + ".init"; }

  const Cgroups& cgroups_;
  std::string lab_;
};

}  // namespace podlab::lab
