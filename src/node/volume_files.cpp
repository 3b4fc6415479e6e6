#include "node/volume_files.hpp"

#include <fcntl.h>
#include <fts.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

#include <linux/openat2.h>

#include "common/unique_fd.hpp"

namespace podlab::node {
namespace {

constexpr mode_t kFolderMode = 0755;

/// Opens `path` below the folder without following a link out of it; -1 and errno.
int openBeneath(int folder, const std::string& path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how));
}

Status outside(const std::string& path) {
  return {Code::kForbidden, "the path \"" + path + "\" leads out of the volume"};
}

Status openFailure(int error, const std::string& path) {
  return error == EXDEV ? outside(path) : errnoStatus(error, "cannot open \"" + path + "\"");
}

/// Opens it, and makes the folders that are missing.
Result<UniqueFd> openOrMake(int folder, const std::string& path) {
  UniqueFd found(openBeneath(folder, path, O_PATH));
  if (found) return found;
  if (errno != ENOENT) return openFailure(errno, path);
  UniqueFd current(::fcntl(folder, F_DUPFD_CLOEXEC, 0));
  for (const auto& part : std::filesystem::path(path)) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return outside(path);
    UniqueFd next(openBeneath(current.get(), part, O_PATH | O_DIRECTORY | O_NOFOLLOW));
    if (!next && errno == ENOENT) {
      if (::mkdirat(current.get(), part.c_str(), kFolderMode) < 0 && errno != EEXIST)
        return errnoStatus(errno, "cannot make \"" + path + "\"");
      next.reset(openBeneath(current.get(), part, O_PATH | O_DIRECTORY | O_NOFOLLOW));
    }
    if (!next) return openFailure(errno, path);
    current = std::move(next);
  }
  return current;
}

struct PathType {
  const char* name;
  mode_t format;
  const char* text;  ///< in "PATH is not a TEXT"
};

constexpr PathType kPathTypes[] = {
    {"DirectoryOrCreate", S_IFDIR, "directory"}, {"Directory", S_IFDIR, "directory"},
    {"FileOrCreate", S_IFREG, "file"},           {"File", S_IFREG, "file"},
    {"Socket", S_IFSOCK, "socket file"},         {"CharDevice", S_IFCHR, "character device"},
    {"BlockDevice", S_IFBLK, "block device"},
};

}  // namespace

bool isTmpfsMount(const std::string& path) {
  struct stat own{}, parent{};
  return isInTmpfs(path) && ::stat(path.c_str(), &own) == 0 &&
         ::stat((path + "/..").c_str(), &parent) == 0 && own.st_dev != parent.st_dev;
}

bool isInTmpfs(const std::string& path) {
  struct statfs info{};
  return ::statfs(path.c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC;
}

Status prepareHostPath(const std::string& path, const std::string& type, std::uint32_t mode) {
  struct stat info{};
  bool there = ::stat(path.c_str(), &info) == 0;
  // Without a type, a folder is made as the container runtime would.
  if (!there && (type == "DirectoryOrCreate" || type.empty())) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return errnoStatus(error.value(), "mkdir " + path);
    if (::chmod(path.c_str(), mode) < 0) return errnoStatus(errno, "chmod " + path);
    return {};
  }
  if (!there && type == "FileOrCreate") {
    UniqueFd made(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0644));
    return made ? Status() : errnoStatus(errno, "open " + path);
  }
  const auto* wanted = std::ranges::find(kPathTypes, type, &PathType::name);
  if (wanted == std::end(kPathTypes) || (there && (info.st_mode & S_IFMT) == wanted->format))
    return {};
  return {Code::kInvalid, "hostPath type check failed: " + path + " is not a " + wanted->text};
}

Status bindBeneath(const std::string& folder, const std::string& path, const std::string& target) {
  UniqueFd root(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return errnoStatus(errno, "cannot open " + folder);
  auto found = openOrMake(root.get(), path);
  if (!found.ok()) return found.status();
  struct stat info{};
  if (::fstat(found->get(), &info) < 0) return errnoStatus(errno, "cannot open \"" + path + "\"");
  std::error_code error;
  const std::filesystem::path place(target);
  std::filesystem::create_directories(S_ISDIR(info.st_mode) ? place : place.parent_path(), error);
  if (error) return errnoStatus(error.value(), "cannot make " + target);
  if (!S_ISDIR(info.st_mode)) {
    UniqueFd made(::open(target.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0644));
    if (!made) return errnoStatus(errno, "cannot make " + target);
  }
  UniqueFd tree(::open_tree(found->get(), "",
                            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE));
  if (!tree || ::move_mount(tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0)
    return errnoStatus(errno, "cannot mount \"" + path + "\" on " + target);
  return {};
}

void unmount(const std::string& path) {
  (void)::mount(nullptr, path.c_str(), nullptr, MS_REC | MS_PRIVATE, nullptr);
  while (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
}

void unmountBelow(const std::string& folder) {
  std::error_code error;
  const std::string prefix = std::filesystem::canonical(folder, error).string() + "/";
  if (error) return;
  std::vector<std::string> places;
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string field, place;
    for (int i = 0; i < 4; ++i) fields >> field;
    fields >> field;
    for (std::size_t i = 0; i < field.size(); ++i) {
      // Spaces and the like are "\040".
      const bool escaped = field[i] == '\\' && i + 3 < field.size();
      place +=
          escaped ? static_cast<char>(std::stoi(field.substr(i + 1, 3), nullptr, 8)) : field[i];
      if (escaped) i += 3;
    }
    if (place.starts_with(prefix)) places.push_back(std::move(place));
  }
  // The last one mounted first.
  for (auto place = places.rbegin(); place != places.rend(); ++place)
    ::umount2(place->c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
}

Result<std::int64_t> diskUsage(const std::string& folder) {
  std::string root = folder;
  char* roots[] = {root.data(), nullptr};
  constexpr int kOptions = FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV;
  std::unique_ptr<FTS, int (*)(FTS*)> walk(::fts_open(roots, kOptions, nullptr), ::fts_close);
  if (walk == nullptr) return errnoStatus(errno, "cannot read " + folder);
  std::int64_t blocks = 0;
  while (const FTSENT* entry = ::fts_read(walk.get())) {
    // A folder comes twice; what is gone by now has no size.
    const bool counts = entry->fts_info != FTS_DP && entry->fts_info != FTS_NS &&
                        entry->fts_info != FTS_ERR && entry->fts_info != FTS_DNR;
    if (counts) blocks += entry->fts_statp->st_blocks;
  }
  constexpr std::int64_t kBlock = 512;
  return blocks * kBlock;
}

}  // namespace podlab::node
