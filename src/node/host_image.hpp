#pragma once
#include <string>
#include <vector>

#include "common/filesystem.hpp"
#include "node/container_runtime.hpp"
#include "node/image_store.hpp"

namespace podlab::node {

/// The built-in image `host`: the host's own programs, read-only. The root file system of each
/// container is a folder of its own, of symbolic links and mount points as in the host's /, mounted
/// read-only:
///   /usr /bin /sbin /lib* /etc /opt /nix   the host's, read-only (symbolic links are recreated)
///   /tmp /var /run /root /home             fresh and writable, a tmpfs each; /var has the
///                                          customary folders
///   /proc /dev /sys /mnt /media /srv       empty mount points
/// What else lies in the host's / (other data of its users) is not there.
class HostImageStore final : public ImageStore {
 public:
  Co<Result<Image>> resolve(std::string reference) override;
};

/// Makes the root file system of one container of the image in `folder` (absolute). No two share
/// one: the OCI runtime makes the mount points of the container's volumes in it.
Status makeHostRootfs(Filesystem& files, const std::string& folder);

/// The host's folders that a container of the image gets by read-only binds.
std::vector<std::string> hostImageBinds();
/// Those that are a fresh tmpfs in each container, filled from its root file system.
const std::vector<std::string>& hostImageScratch();

}  // namespace podlab::node
