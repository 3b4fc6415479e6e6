#include "common/filesystem.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <limits>

#include <linux/openat2.h>

#include "common/unique_fd.hpp"

namespace podlab {
namespace {

std::string parentOf(const std::string& path) {
  const auto slash = path.find_last_of('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

Result<std::vector<std::string>> namesIn(UniqueFd folder, const std::string& path) {
  DIR* stream = ::fdopendir(folder.get());
  if (stream == nullptr) return errnoStatus(errno, "cannot list " + path);
  folder.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  ::closedir(stream);
  if (error != 0) return errnoStatus(error, "cannot list " + path);
  std::sort(names.begin(), names.end());
  return names;
}

/// Removes `name` in the folder `parent`; `path` is for messages.
Status removeAt(int parent, const char* name, const std::string& path) {
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return errnoStatus(errno, "cannot remove " + path);
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  const auto openFolder = [&] {
    return static_cast<int>(::syscall(SYS_openat2, parent, name, &how, sizeof how));
  };
  UniqueFd folder(openFolder());
  // What its owner closed to itself, as overlayfs does with its work folder, its owner may open.
  if (!folder && errno == EACCES && ::fchmodat(parent, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
    folder.reset(openFolder());
  struct stat info{};
  if (folder && ::fstat(folder.get(), &info) == 0 && (info.st_mode & 0700) != 0700)
    ::fchmod(folder.get(), 0700);
  if (!folder) {
    if (errno == EXDEV)
      return Status(Code::kConflict, "cannot remove " + path + ": a file system is mounted there");
    return errnoStatus(errno, "cannot remove " + path);
  }
  UniqueFd listing(::fcntl(folder.get(), F_DUPFD_CLOEXEC, 0));
  if (!listing) return errnoStatus(errno, "cannot list " + path);
  auto names = namesIn(std::move(listing), path);
  if (!names) return names.status();
  const std::string prefix = path + "/";
  for (const auto& child : *names) {
    Status removed = removeAt(folder.get(), child.c_str(), prefix + child);
    if (!removed) return removed;
  }
  if (::unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  return errnoStatus(errno, "cannot remove " + path);
}

/// At most `most` bytes from where the file stands.
Result<std::string> readRest(const UniqueFd& file, const std::string& path, std::size_t most) {
  std::string content;
  std::array<char, 65536> buffer;
  while (content.size() < most) {
    const ssize_t n =
        ::read(file.get(), buffer.data(), std::min(buffer.size(), most - content.size()));
    if (n == 0) break;
    if (n > 0) {
      content.append(buffer.data(), n);
    } else if (errno != EINTR) {
      return errnoStatus(errno, "cannot read " + path);
    }
  }
  return content;
}

class RealFilesystem final : public Filesystem {
 public:
  Result<std::string> readFile(const std::string& path) override {
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return errnoStatus(errno, "cannot read " + path);
    return readRest(file, path, std::numeric_limits<std::size_t>::max());
  }

  Result<std::string> readTail(const std::string& path, std::size_t most) override {
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info{};
    if (!file || ::fstat(file.get(), &info) < 0) return errnoStatus(errno, "cannot read " + path);
    const auto size = static_cast<std::size_t>(info.st_size);
    if (size > most) ::lseek(file.get(), static_cast<off_t>(size - most), SEEK_SET);
    // It may grow meanwhile.
    return readRest(file, path, most);
  }

  Status writeFileAtomic(const std::string& path, std::string_view content, std::uint32_t mode,
                         bool durable) override {
    const std::string temporary = path + ".tmp";
    Status written = writeFile(temporary, content, mode, durable);
    // File systems are slow to make and to delete files: the former one is kept to be written next.
    if (written && !durable &&
        ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0)
      return {};
    if (written && ::rename(temporary.c_str(), path.c_str()) < 0) {
      written = errnoStatus(errno, "cannot replace " + path);
    }
    if (!written) {
      ::unlink(temporary.c_str());
      return written;
    }
    if (!durable) return {};
    UniqueFd folder(::open(parentOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || ::fsync(folder.get()) < 0) return errnoStatus(errno, "cannot sync " + path);
    return {};
  }

  Status createDirectories(const std::string& path, std::uint32_t mode) override {
    if (::mkdir(path.c_str(), mode) == 0) return {};
    if (errno == ENOENT && path.size() > 1) {
      Status parent = createDirectories(parentOf(path), mode);
      if (!parent) return parent;
      if (::mkdir(path.c_str(), mode) == 0) return {};
    }
    const int error = errno;
    struct stat info{};
    if (error == EEXIST && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return {};
    return errnoStatus(error == EEXIST ? ENOTDIR : error, "cannot create " + path);
  }

  Status removeTree(const std::string& path) override {
    UniqueFd parent(::open(parentOf(path).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!parent) return errno == ENOENT ? Status() : errnoStatus(errno, "cannot remove " + path);
    return removeAt(parent.get(), path.c_str() + path.find_last_of('/') + 1, path);
  }

  Status removeFile(const std::string& path) override {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return errnoStatus(errno, "cannot remove " + path);
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    return errnoStatus(errno, "cannot rename " + from + " to " + to);
  }

  bool exists(const std::string& path) override {
    struct stat info{};
    return ::lstat(path.c_str(), &info) == 0;
  }

  Status createSymlink(const std::string& target, const std::string& path) override {
    if (::symlink(target.c_str(), path.c_str()) == 0) return {};
    return errnoStatus(errno, "cannot create " + path);
  }

  Result<std::string> readLink(const std::string& path) override {
    std::array<char, PATH_MAX> target;
    const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    if (size < 0) return errnoStatus(errno, "cannot read the link " + path);
    return std::string(target.data(), static_cast<std::size_t>(size));
  }

  Result<std::vector<std::string>> listDirectory(const std::string& path) override {
    UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return errnoStatus(errno, "cannot list " + path);
    return namesIn(std::move(folder), path);
  }

 private:
  static Status writeFile(const std::string& path, std::string_view content, std::uint32_t mode,
                          bool durable) {
    // Not O_TRUNC: ext4 writes a file that was truncated to nothing to the disk when it is closed
    // (auto_da_alloc, ext4(5)).
    UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, mode));
    if (!file) return errnoStatus(errno, "cannot write " + path);
    if (::fchmod(file.get(), mode) < 0) return errnoStatus(errno, "cannot write " + path);
    const auto size = static_cast<off_t>(content.size());
    while (!content.empty()) {
      const ssize_t n = ::write(file.get(), content.data(), content.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errnoStatus(errno, "cannot write " + path);
      content.remove_prefix(n);
    }
    if (::ftruncate(file.get(), size) < 0) return errnoStatus(errno, "cannot write " + path);
    if (durable && ::fsync(file.get()) < 0) return errnoStatus(errno, "cannot sync " + path);
    return {};
  }
};

}  // namespace

std::unique_ptr<Filesystem> makeRealFilesystem() {
  return std::make_unique<RealFilesystem>();
}

Status makeFolderOfUnrelated(Filesystem& files, const std::string& path) {
  Status made = files.createDirectories(path);
  if (!made) return made;
  UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  int flags = 0;
  if (folder && ::ioctl(folder.get(), FS_IOC_GETFLAGS, &flags) == 0) {
    flags |= FS_TOPDIR_FL;
    (void)::ioctl(folder.get(), FS_IOC_SETFLAGS, &flags);
  }
  return {};
}

}  // namespace podlab
