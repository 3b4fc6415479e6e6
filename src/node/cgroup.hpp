#pragma once
#include <string>

namespace podlab::node {

/// Which cgroups containers can be put into.
enum class CgroupMode {
  kV2,    ///< the unified hierarchy, writable
  kV1,    ///< version 1 controllers, writable, and no version 2 hierarchy with controllers beside
  kNone,  ///< none that an OCI runtime can use
};

struct CgroupSupport {
  CgroupMode mode = CgroupMode::kNone;
  std::string reason;  ///< with kNone: why, and what would help
};

/// Looks at `root` as this process sees it: a lab may have covered it. crun (1.8) refuses every
/// layout with a version 2 hierarchy that has controllers beside version 1 ones ("hybrid"), unless
/// cgroups are disabled; such a layout counts as kNone.
CgroupSupport detectCgroups(const std::string& root = "/sys/fs/cgroup");

}  // namespace podlab::node
