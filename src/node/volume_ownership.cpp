#include "node/volume_ownership.hpp"

#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace podlab::node {
namespace {

constexpr mode_t kReadWrite = 0660;
constexpr mode_t kReadOnly = 0440;
constexpr mode_t kFolder = S_ISGID | 0110;

Status change(const char* path, const struct stat& info, std::uint32_t gid, mode_t mask) {
  if (::fchownat(AT_FDCWD, path, -1, gid, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno == EINVAL)
      return Status(Code::kHostUnsupported,
                    "fsGroup " + std::to_string(gid) +
                        " is not mapped into this lab; remedy: subordinate ids and newuidmap "
                        "(podlab doctor), or podlab as root");
    return errnoStatus(errno, "cannot change the group of " + std::string(path));
  }
  if (S_ISLNK(info.st_mode)) return {};
  mode_t mode = (info.st_mode & 07777) | mask;
  if (S_ISDIR(info.st_mode)) mode |= kFolder;
  if (::chmod(path, mode) < 0)
    return errnoStatus(errno, "cannot change the mode of " + std::string(path));
  return {};
}

}  // namespace

Status giveToGroup(const std::string& volume, std::uint32_t gid, bool readOnly,
                   bool onRootMismatch) {
  const mode_t mask = readOnly ? kReadOnly : kReadWrite;
  struct stat root{};
  if (::lstat(volume.c_str(), &root) < 0) return errnoStatus(errno, "cannot look at " + volume);
  const mode_t wanted = mask | kFolder;
  if (onRootMismatch && root.st_gid == gid && (root.st_mode & wanted) == wanted) return {};
  std::string path = volume;
  char* const roots[] = {path.data(), nullptr};
  const std::unique_ptr<FTS, int (*)(FTS*)> tree(
      ::fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, nullptr), ::fts_close);
  if (!tree) return errnoStatus(errno, "cannot walk " + volume);
  // Folders after what is in them: the root says last that all is done.
  while (const FTSENT* entry = ::fts_read(tree.get())) {
    if (entry->fts_info == FTS_D || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS ||
        entry->fts_info == FTS_DNR)
      continue;
    if (Status status = change(entry->fts_path, *entry->fts_statp, gid, mask); !status.ok())
      return status;
  }
  return {};
}

}  // namespace podlab::node
