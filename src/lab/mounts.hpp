#pragma once
#include <string>

#include "common/status.hpp"

namespace podlab::lab {

/// Stops all mounts of this mount namespace from propagating in or out.
Status makeMountsPrivate();
/// Lets all mounts of this mount namespace propagate to and from those that are made from it, as
/// systemd does on a machine: pods may ask for it (mountPropagation).
Status makeMountsShared();
/// Binds the folder, which is made when absent (for its owner alone), on itself, so that mounts in
/// it propagate nowhere.
Status keepMountsIn(const std::string& path);
/// A /proc of this PID namespace.
Status mountProc();
/// A tmpfs at `path`, which is made when absent; what it holds goes with the mount namespace.
Status mountTmpfs(const std::string& path, const char* options = "mode=0755");
/// Takes a version 2 cgroup hierarchy beside version 1 ones out of sight: crun refuses such a
/// hybrid layout.
Status hideHybridCgroups();

}  // namespace podlab::lab
