#pragma once
#include <memory>
#include <string>

#include "common/blocking.hpp"
#include "common/filesystem.hpp"
#include "node/pod_volumes.hpp"

namespace podlab::node {

/// emptyDir volumes of this host: on disk below STATE/pods/UID/volumes, in memory (medium: Memory)
/// and the pod's /dev/shm as tmpfs mounts below RUN/pods/UID, which go with the node.
std::unique_ptr<PodVolumes> makeLocalVolumes(Filesystem& files, BlockingPool& pool,
                                             std::string stateFolder, std::string runFolder);

}  // namespace podlab::node
