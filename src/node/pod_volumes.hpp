#pragma once
#include <map>
#include <string>

#include "api/object.hpp"
#include "common/co.hpp"
#include "common/status.hpp"

namespace podlab::node {

/// A pod's volumes on this host.
class PodVolumes {
 public:
  virtual ~PodVolumes() = default;

  struct Folders {
    std::map<std::string, std::string> byName;  ///< host folder of each volume of the spec
    std::string sharedMemory;  ///< what all containers see as /dev/shm; empty: each its own
  };
  /// Makes what is not there yet; what is there keeps its content.
  virtual Co<Result<Folders>> setUp(const corev1::Pod& pod) = 0;
  /// Removes the pod's volumes with their content; absent is OK.
  virtual Co<Status> tearDown(std::string podUid) = 0;
};

}  // namespace podlab::node
