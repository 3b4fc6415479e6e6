#pragma once
#include <string>
#include <vector>

#include "common/cgroups.hpp"
#include "node/container_runtime.hpp"

namespace podlab::node {

/// Where a node keeps its cgroups (docs/adr/0013-cgroups.md): NODE/POD-UID/CONTAINER-ID.
struct NodeCgroups {
  Cgroups cgroups;   ///< none: containers run without
  std::string path;  ///< the node's, e.g. "podlab/default-1a2b3c4d/node1"

  bool any() const { return !path.empty() && !cgroups.hierarchies().empty(); }
  std::string pod(const std::string& uid) const { return path + "/" + uid; }
  std::string container(const std::string& podUid, const std::string& id) const {
    return pod(podUid) + "/" + id;
  }
};

/// The file by which a process of one thread enters the cgroup `folder`. In version 1 as a thread:
/// for one that moves itself the kernel then does not hold up all forks and exits of the machine
/// (cgroup_procs_write_start in kernel/cgroup/cgroup.c).
std::string processFile(const CgroupHierarchy& hierarchy, const std::string& folder);

/// What the shim does so that a container is born in its cgroup.
struct CgroupPlan {
  struct Write {
    std::string file;
    std::string value;
    bool optional = false;  ///< kernels may lack the file
  };
  std::vector<std::string> folders;  ///< to make, in this order
  std::vector<Write> writes;
  std::vector<std::string> processFiles;  ///< of the container's cgroup
  std::string oomFile;                    ///< has the line "oom_kill COUNT"
};
CgroupPlan planCgroup(const NodeCgroups& node, const ContainerSpec& spec);
/// The plan's folders and writes.
Status applyCgroupPlan(const CgroupPlan& plan);

/// Makes the node's own cgroup, with its ceiling.
Status makeNodeCgroup(const NodeCgroups& node, const CgroupLimits& limits);

}  // namespace podlab::node
