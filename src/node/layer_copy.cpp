#include "node/layer_copy.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <map>
#include <string_view>

#include "common/unique_fd.hpp"

namespace podlab::node {
namespace {

class LayerCopy {
 public:
  explicit LayerCopy(Filesystem& files) : files_(files) {}

  Status folder(const std::string& from, const std::string& to) {
    const auto names = files_.listDirectory(from);
    if (!names) return names.status();
    for (const auto& name : *names) {
      if (Status copied = entry(from + "/" + name, to + "/" + name); !copied) return copied;
    }
    return {};
  }

 private:
  static bool isOpaque(const std::string& path) {
    char value = 0;
    return ::lgetxattr(path.c_str(), "user.overlay.opaque", &value, 1) == 1 && value == 'y';
  }

  static Status failed(const std::string& what) {
    return errnoStatus(errno, "cannot copy " + what);
  }

  Status entry(const std::string& from, const std::string& to) {
    struct stat info{};
    struct stat below{};
    if (::lstat(from.c_str(), &info) < 0) return failed(from);
    const bool there = ::lstat(to.c_str(), &below) == 0;
    const bool merge = there && S_ISDIR(info.st_mode) && S_ISDIR(below.st_mode) && !isOpaque(from);
    if (there && !merge) {
      if (Status removed = files_.removeTree(to); !removed) return removed;
    }
    if (S_ISDIR(info.st_mode)) {
      if (!merge && ::mkdir(to.c_str(), 0700) < 0) return failed(from);
      if (Status copied = folder(from, to); !copied) return copied;
    } else if (S_ISREG(info.st_mode)) {
      if (info.st_nlink > 1) {
        const auto [link, first] = links_.try_emplace(info.st_ino, to);
        if (!first) return ::link(link->second.c_str(), to.c_str()) == 0 ? Status() : failed(from);
      }
      if (Status copied = content(from, to, info.st_size); !copied) return copied;
    } else if (S_ISLNK(info.st_mode)) {
      std::array<char, PATH_MAX> target{};
      if (::readlink(from.c_str(), target.data(), target.size() - 1) < 0 ||
          ::symlink(target.data(), to.c_str()) < 0)
        return failed(from);
    } else if (S_ISFIFO(info.st_mode)) {
      if (::mkfifo(to.c_str(), 0600) < 0) return failed(from);
    } else {
      return {};  // a whiteout
    }
    return metadata(from, to, info);
  }

  static Status content(const std::string& from, const std::string& to, off_t size) {
    const UniqueFd in(::open(from.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    const UniqueFd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!in || !out) return failed(from);
    // Some file systems share the blocks.
    if (::ioctl(out.get(), FICLONE, in.get()) == 0) return {};
    while (size > 0) {
      const ssize_t n = ::sendfile(out.get(), in.get(), nullptr, static_cast<std::size_t>(size));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return failed(from);
      size -= n;
    }
    return {};
  }

  static Status metadata(const std::string& from, const std::string& to, const struct stat& info) {
    // As far as this user namespace has the owners.
    if (::lchown(to.c_str(), info.st_uid, info.st_gid) < 0 && errno != EPERM && errno != EINVAL)
      return failed(from);
    attributes(from, to);
    if (!S_ISLNK(info.st_mode) && ::chmod(to.c_str(), info.st_mode & 07777) < 0)
      return failed(from);
    const std::array<timespec, 2> times{info.st_mtim, info.st_mtim};
    ::utimensat(AT_FDCWD, to.c_str(), times.data(), AT_SYMLINK_NOFOLLOW);
    return {};
  }

  static void attributes(const std::string& from, const std::string& to) {
    std::array<char, 65536> names;
    const ssize_t length = ::llistxattr(from.c_str(), names.data(), names.size());
    for (ssize_t at = 0; at < length;) {
      const std::string name(names.data() + at);
      at += static_cast<ssize_t>(name.size()) + 1;
      if (name.starts_with("user.overlay.")) continue;
      std::array<char, 65536> value;
      const ssize_t size = ::lgetxattr(from.c_str(), name.c_str(), value.data(), value.size());
      if (size >= 0)
        ::lsetxattr(to.c_str(), name.c_str(), value.data(), static_cast<std::size_t>(size), 0);
    }
  }

  Filesystem& files_;
  std::map<ino_t, std::string> links_;
};

}  // namespace

Status applyLayer(Filesystem& files, const std::string& layer, const std::string& target) {
  return LayerCopy(files).folder(layer, target);
}

}  // namespace podlab::node
