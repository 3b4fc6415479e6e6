#include "node/overlay.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "node/layer_copy.hpp"

namespace podlab::node {

Result<UniqueFd> holdImage(const std::string& lockFile) {
  UniqueFd lock(::open(lockFile.c_str(), O_RDONLY | O_CLOEXEC));
  if (!lock) return errnoStatus(errno, "the image was removed: cannot open " + lockFile);
  while (::flock(lock.get(), LOCK_SH) < 0) {
    if (errno != EINTR) return errnoStatus(errno, "cannot lock " + lockFile);
  }
  struct stat info{};
  if (::fstat(lock.get(), &info) < 0 || info.st_nlink == 0)
    return Status(Code::kUnavailable, "the image was removed");
  return lock;
}

namespace {

/// Stops the mount that the folder is on from propagating.
Status makePrivate(const std::string& folder) {
  std::error_code error;
  auto path = std::filesystem::canonical(folder, error);
  if (error) return errnoStatus(error.value(), "cannot resolve " + folder);
  while (::mount(nullptr, path.c_str(), nullptr, MS_PRIVATE, nullptr) < 0) {
    // EINVAL: no mount point.
    if (errno != EINVAL || !path.has_relative_path())
      return errnoStatus(errno, "cannot make the mount of " + folder + " private");
    path = path.parent_path();
  }
  return {};
}

}  // namespace

Result<PrivateMounts> PrivateMounts::enter(const std::string& place) {
  UniqueFd before(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  UniqueFd folder(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!before || !folder) return errnoStatus(errno, "cannot open /proc/self/ns/mnt and .");
  if (::unshare(CLONE_NEWNS) < 0) return errnoStatus(errno, "cannot make a mount namespace");
  PrivateMounts entered(std::move(before), std::move(folder));
  if (Status made = makePrivate(place); !made) return made;
  return entered;
}

PrivateMounts::~PrivateMounts() {
  // setns() goes to the root folder of that namespace.
  if (before_ && ::setns(before_.get(), CLONE_NEWNS) == 0) (void)!::fchdir(folder_.get());
}

Status mountOverlay(const OverlayRootfs& rootfs, const std::string& target) {
  // By short names, for the kernel takes one page of options.
  std::vector<UniqueFd> layers;
  std::string lower;
  for (auto layer = rootfs.layers.rbegin(); layer != rootfs.layers.rend(); ++layer) {
    layers.emplace_back(::open(layer->c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!layers.back()) return errnoStatus(errno, "cannot open the layer " + *layer);
    lower += (lower.empty() ? "" : ":") + std::string("/proc/self/fd/") +
             std::to_string(layers.back().get());
  }
  const UniqueFd own(::open(rootfs.writable.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!own) return errnoStatus(errno, "cannot open " + rootfs.writable);
  const std::string folder = "/proc/self/fd/" + std::to_string(own.get());
  // What containers write is not for the next boot: nothing waits for the disk (volatile).
  const std::string options = "lowerdir=" + lower + ",upperdir=" + folder +
                              "/upper,workdir=" + folder + "/work,userxattr,volatile";
  // Devices are in a container's /dev, which is a file system of its own.
  if (::mount("overlay", target.c_str(), "overlay", MS_NODEV, options.c_str()) == 0) return {};
  return errnoStatus(errno, "cannot mount an overlay of " + std::to_string(layers.size()) +
                                " layers at " + target);
}

Status mountRootfs(Filesystem& files, const OverlayRootfs& rootfs, const std::string& target) {
  Status mounted = mountOverlay(rootfs, target);
  if (mounted) return mounted;
  const std::string copy = rootfs.writable + "/copy";
  Status copied = files.createDirectories(copy);
  for (const auto& layer : rootfs.layers) {
    if (copied) copied = applyLayer(files, layer, copy);
  }
  if (copied && ::mount(copy.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) < 0)
    copied = errnoStatus(errno, "cannot mount " + target);
  return copied.withContext(mounted.message() + ", nor a copy");
}

}  // namespace podlab::node
