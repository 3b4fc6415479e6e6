#pragma once
#include <memory>
#include <string>
#include <vector>

#include "common/filesystem.hpp"
#include "node/container_runtime.hpp"
#include "node/image_store.hpp"

namespace podlab::node {

/// The built-in image `host`: the host's own programs, read-only. Its root file system is a
/// folder of symbolic links and mount points as in the host's /, mounted read-only:
///   /usr /bin /sbin /lib* /etc /opt /nix   the host's, read-only (symbolic links are recreated)
///   /tmp /var /run /root /home             fresh and writable, a tmpfs each; /var has the
///                                          customary folders
///   /proc /dev /sys /mnt /media /srv       empty mount points
/// What else lies in the host's / (other data of its users) is not there.
class HostImageStore final : public ImageStore {
 public:
  /// `folder` (absolute) is made at the first resolve().
  HostImageStore(Filesystem& files, std::string folder);
  Co<Result<Image>> resolve(std::string reference) override;

 private:
  Status makeFolder();

  Filesystem& files_;
  std::string folder_;
  bool made_ = false;
};

/// The host's folders that a container of the image gets by read-only binds.
std::vector<std::string> hostImageBinds();
/// Those that are a fresh tmpfs in each container, filled from the image's folder.
const std::vector<std::string>& hostImageScratch();

}  // namespace podlab::node
