#include "lab/mounts.hpp"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <filesystem>

namespace podlab::lab {

Status makeMountsPrivate() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
    return errnoStatus(errno, "cannot make mounts private");
  return {};
}

Status makeMountsShared() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr) < 0)
    return errnoStatus(errno, "cannot make mounts shared");
  return {};
}

Status keepMountsIn(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST)
    return errnoStatus(errno, "cannot make " + path);
  if (::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) < 0 ||
      ::mount(nullptr, path.c_str(), nullptr, MS_PRIVATE, nullptr) < 0)
    return errnoStatus(errno, "cannot make the mount " + path + " private");
  return {};
}

Status mountProc() {
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) < 0) {
    Status status = errnoStatus(errno, "cannot mount /proc");
    if (status.code() != Code::kForbidden) return status;
    return Status(
        Code::kHostUnsupported,
        status.message() +
            "; the kernel allows it only where /proc itself is not covered by other mounts, as "
            "it is in most containers; remedy: run podlab outside a container");
  }
  return {};
}

Status mountTmpfs(const std::string& path, const char* options) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return errnoStatus(error.value(), "cannot make " + path);
  if (::mount("tmpfs", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
    return errnoStatus(errno, "cannot mount " + path);
  return {};
}

Status hideHybridCgroups() {
  constexpr const char* kUnified = "/sys/fs/cgroup/unified";
  struct statfs info{};
  if (::statfs(kUnified, &info) < 0 || info.f_type != CGROUP2_SUPER_MAGIC) return {};
  if (::umount2(kUnified, MNT_DETACH) == 0) return {};
  // In a user namespace the mount is locked, but may be covered.
  if (::mount("tmpfs", "/sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NODEV, nullptr) < 0)
    return errnoStatus(errno, "cannot cover /sys/fs/cgroup");
  return {};
}

}  // namespace podlab::lab
