#pragma once
#include <string>

#include "common/status.hpp"

namespace podlab::lab {

/// Stops all mounts of this mount namespace from propagating in or out.
Status makeMountsPrivate();
/// A /proc of this PID namespace.
Status mountProc();
/// A tmpfs at `path`, which is made when absent; what it holds goes with the mount namespace.
Status mountTmpfs(const std::string& path);
/// Takes a version 2 cgroup hierarchy beside version 1 ones out of sight: crun refuses such a
/// hybrid layout.
Status hideHybridCgroups();

}  // namespace podlab::lab
