#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/co.hpp"
#include "common/status.hpp"
#include "node/volume_payload.hpp"

namespace podlab::node {

/// Files that all containers of a pod see in /etc: name to content.
using EtcFiles = std::map<std::string, std::string>;

/// One volume of a pod, as the node makes it.
struct VolumeSpec {
  enum class Type {
    kDisk,      ///< a folder of the pod's own on disk
    kMemory,    ///< a tmpfs
    kHostPath,  ///< a path of the host
    kFiles,     ///< files that the node writes, on disk
    kSecret,    ///< the same in memory
  };
  std::string name;
  Type type = Type::kDisk;
  std::uint32_t mode = 0777;              ///< of the folder, where it is made
  std::optional<std::int64_t> sizeLimit;  ///< of kMemory, in bytes
  std::string path;                       ///< of kHostPath
  std::string pathType;                   ///< of kHostPath: HostPathVolumeSource.type
  std::optional<std::uint32_t> group;     ///< fsGroup: whose the volume becomes, once for the pod
  bool groupOnRootMismatch = false;       ///< only when its folder is another group's
  std::optional<Payload> files;           ///< of kFiles and kSecret; unset: those that are there
};

/// A part of a volume that a container mounts.
struct SubPath {
  std::string podUid;
  std::string container;
  std::size_t index = 0;  ///< of the mount in the container
  std::string folder;     ///< host folder of the volume
  std::string path;       ///< below it
};

/// A pod's files on this host: its volumes, and those of /etc.
class PodVolumes {
 public:
  virtual ~PodVolumes() = default;

  struct Folders {
    std::map<std::string, std::string> byName;  ///< host folder of each volume
    std::string sharedMemory;  ///< what all containers see as /dev/shm; empty: each its own
    std::string etc;           ///< with the EtcFiles
  };
  /// Makes what is not there yet; what is there keeps its content, but for the files that the node
  /// writes: they become those of the spec, all at once. A failure is of the volume that its
  /// context names.
  virtual Co<Result<Folders>> setUp(std::string podUid, std::vector<VolumeSpec> volumes,
                                    EtcFiles etc) = 0;
  /// The host path of a part of a volume, for a mount. A folder is made when nothing is there. What
  /// lies outside of the volume, whatever links or races a container has made, is kForbidden.
  virtual Co<Result<std::string>> openSubPath(SubPath part) = 0;
  /// The bytes on disk that each of these folders takes.
  virtual Co<Result<std::vector<std::int64_t>>> usage(std::vector<std::string> folders) = 0;
  /// Removes all that was made for the pod, with its content; absent is OK.
  virtual Co<Status> tearDown(std::string podUid) = 0;
  /// Removes a folder of this host that a PersistentVolume had; absent is OK.
  virtual Co<Status> removeFolder(std::string path) = 0;
};

}  // namespace podlab::node
