#pragma once
#include <string>
#include <utility>
#include <vector>

#include "common/filesystem.hpp"
#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab::node {

/// The root file system of one container of a stored image: the image's layers, read-only and
/// shared by all, below a folder of the container's own.
struct OverlayRootfs {
  std::vector<std::string> layers;  ///< folders, lowest first
  std::string lockFile;             ///< of the image
  std::string writable;             ///< the container's own folder, on disk, with upper/ and work/
};

/// The lock that keeps the image in the store, for the life of the descriptor; kNotFound when it
/// was removed meanwhile.
Result<UniqueFd> holdImage(const std::string& lockFile);

/// A mount namespace of this process's own for the life of this object; afterwards it is in its
/// former one again, and what was mounted at or below `place` meanwhile is there only for processes
/// that were started in it; other mounts propagate as before. The process has one thread.
class PrivateMounts {
 public:
  static Result<PrivateMounts> enter(const std::string& place = ".");
  PrivateMounts(PrivateMounts&&) = default;
  PrivateMounts& operator=(PrivateMounts&&) = default;
  ~PrivateMounts();

 private:
  PrivateMounts(UniqueFd before, UniqueFd folder)
      : before_(std::move(before)), folder_(std::move(folder)) {}
  UniqueFd before_;
  UniqueFd folder_;  ///< the working directory there
};

/// Mounts it at `target`, a folder: an overlay, or, where the kernel refuses one, a copy of the
/// layers. `writable` exists.
Status mountRootfs(Filesystem& files, const OverlayRootfs& rootfs, const std::string& target);

/// An overlay in whichever user namespace: kernel 5.11, and a file system for `writable` that takes
/// one. Used by mountRootfs(), and to find out whether it works.
Status mountOverlay(const OverlayRootfs& rootfs, const std::string& target);

}  // namespace podlab::node
