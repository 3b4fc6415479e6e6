#include "node/overlay.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "common/spawn.hpp"

namespace podlab::node {
namespace {

namespace fs = std::filesystem;

bool isWhiteout(const fs::path& path) {
  struct stat info{};
  return ::lstat(path.c_str(), &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == 0;
}

bool isOpaque(const fs::path& path) {
  char value = 0;
  return ::lgetxattr(path.c_str(), "user.overlay.opaque", &value, 1) == 1 && value == 'y';
}

bool isFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(fs::symlink_status(path, error));
}

/// Takes away from `below` what the layer `above` hides or replaces by something else.
Status hide(Filesystem& files, const fs::path& above, const fs::path& below) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(above, error)) {
    const fs::path place = below / entry.path().filename();
    const bool folders = isFolder(entry.path()) && isFolder(place);
    Status done = folders && !isOpaque(entry.path()) ? hide(files, entry.path(), place)
                                                     : files.removeTree(place);
    if (!done) return done;
  }
  return error ? errnoStatus(error.value(), "cannot read " + above.string()) : Status();
}

Status removeWhiteouts(Filesystem& files, const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    Status done = isWhiteout(entry.path()) ? files.removeFile(entry.path())
                  : isFolder(entry.path()) ? removeWhiteouts(files, entry.path())
                                           : Status();
    if (!done) return done;
  }
  return error ? errnoStatus(error.value(), "cannot read " + folder.string()) : Status();
}

Status copyLayers(Filesystem& files, const OverlayRootfs& rootfs, const std::string& target) {
  const std::string copy = rootfs.writable + "/copy";
  if (Status made = files.createDirectories(copy); !made) return made;
  for (const auto& layer : rootfs.layers) {
    if (Status hidden = hide(files, layer, copy); !hidden) return hidden;
    SpawnSpec spec;
    spec.argv = {"cp", "--archive", "--reflink=auto", layer + "/.", copy};
    auto child = spawn(spec);
    if (!child) return child.status();
    if (const int code = reapChild(child->pid); code != 0)
      return Status(Code::kInternal, "cannot copy the layer " + layer + " (cp ended with " +
                                         std::to_string(code) + "); is the disk full?");
  }
  if (Status removed = removeWhiteouts(files, copy); !removed) return removed;
  if (::mount(copy.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) < 0)
    return errnoStatus(errno, "cannot mount " + target);
  return {};
}

}  // namespace

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

Result<PrivateMounts> PrivateMounts::enter() {
  UniqueFd before(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!before) return errnoStatus(errno, "cannot open /proc/self/ns/mnt");
  if (::unshare(CLONE_NEWNS) < 0) return errnoStatus(errno, "cannot make a mount namespace");
  PrivateMounts entered(std::move(before));
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
    return errnoStatus(errno, "cannot make mounts private");
  return entered;
}

PrivateMounts::~PrivateMounts() {
  // setns() goes to the root folder of that namespace.
  const UniqueFd folder(before_ ? ::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1);
  if (before_ && ::setns(before_.get(), CLONE_NEWNS) == 0) (void)!::fchdir(folder.get());
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
  const Status mounted = mountOverlay(rootfs, target);
  if (mounted) return mounted;
  const Status copied = copyLayers(files, rootfs, target);
  return copied ? copied : copied.withContext(mounted.message() + ", nor a copy");
}

}  // namespace podlab::node
