#pragma once
#include <memory>
#include <string>

#include "common/blocking.hpp"
#include "common/clock.hpp"
#include "common/filesystem.hpp"
#include "node/pod_volumes.hpp"

namespace podlab::node {

/// The volumes of pods of this host. On disk below STATE/pods/UID/volumes: emptyDir and the files
/// of ConfigMaps. Below RUN/pods/UID, in memory, with what goes with the node: emptyDir of medium
/// Memory and the pod's /dev/shm as tmpfs mounts of their own, the files of secrets and of the
/// downward API, and the mounts of subPaths.
std::unique_ptr<PodVolumes> makeLocalVolumes(Filesystem& files, BlockingPool& pool, Clock& clock,
                                             std::string stateFolder, std::string runFolder);

}  // namespace podlab::node
