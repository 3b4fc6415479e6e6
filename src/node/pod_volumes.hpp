#pragma once
#include <map>
#include <string>

#include "api/object.hpp"
#include "common/co.hpp"
#include "common/status.hpp"

namespace podlab::node {

/// Files that all containers of a pod see in /etc: name to content.
using EtcFiles = std::map<std::string, std::string>;

/// A pod's files on this host: its volumes, and those of /etc.
class PodVolumes {
 public:
  virtual ~PodVolumes() = default;

  struct Folders {
    std::map<std::string, std::string> byName;  ///< host folder of each volume of the spec
    std::string sharedMemory;  ///< what all containers see as /dev/shm; empty: each its own
    std::string etc;           ///< with the EtcFiles
  };
  /// Makes what is not there yet; what is there keeps its content.
  virtual Co<Result<Folders>> setUp(const corev1::Pod& pod, EtcFiles etc) = 0;
  /// Removes all that was made, with their content; absent is OK.
  virtual Co<Status> tearDown(std::string podUid) = 0;
};

}  // namespace podlab::node
