#include "image/layer.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string_view>
#include <vector>

#include <linux/openat2.h>

#include "common/unique_fd.hpp"
#include "image/layer_stream.hpp"

namespace podlab::image {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr const char* kOpaqueAttribute = "user.overlay.opaque";

/// Names in a tar are UTF-8, whatever locale podlab runs in.
class Utf8Locale {
 public:
  Utf8Locale() : own_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (own_ != nullptr) before_ = ::uselocale(own_);
  }
  ~Utf8Locale() {
    if (own_ == nullptr) return;
    ::uselocale(before_);
    ::freelocale(own_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  locale_t own_;
  locale_t before_ = nullptr;
};

/// The path without empty and "." parts; nullopt with a ".." in it.
std::optional<std::vector<std::string>> partsOf(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    const auto part = path.substr(0, end);
    if (part == "..") return std::nullopt;
    if (!part.empty() && part != ".") parts.emplace_back(part);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return parts;
}

struct Place {
  int parent = -1;  ///< descriptor of the folder
  std::string name;
};

class Unpacker {
 public:
  Unpacker(archive* tar, UniqueFd root)
      : tar_(tar), root_(std::move(root)), keepOwners_(::geteuid() == 0) {}

  Status run() {
    archive_entry* entry = nullptr;
    int result = ARCHIVE_OK;
    while ((result = archive_read_next_header(tar_, &entry)) == ARCHIVE_OK ||
           result == ARCHIVE_WARN) {
      const char* path = archive_entry_pathname(entry);
      if (path == nullptr) return Status(Code::kInvalid, "an entry without a name");
      if (Status status = unpack(entry, path); !status)
        return status.withContext("entry \"" + std::string(path) + "\"");
    }
    if (result != ARCHIVE_EOF) return tarFailure();
    return finishFolders();
  }

  const UnpackReport& report() const { return report_; }

 private:
  Status tarFailure() const {
    const char* text = archive_error_string(tar_);
    return Status(Code::kInvalid, text != nullptr ? text : "the tar is damaged");
  }

  /// Opens what `path` means with the layer's folder as the root; -1 with errno.
  int openInside(const std::string& path, int flags) const {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return static_cast<int>(::syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof how));
  }

  static std::string join(const std::vector<std::string>& parts, std::size_t count) {
    std::string path = ".";
    for (std::size_t i = 0; i < count; ++i) path += "/" + parts[i];
    return path;
  }

  /// The folder of the first `count` parts; those that are not there are made.
  Status openFolder(const std::vector<std::string>& parts, std::size_t count) {
    const std::string path = join(parts, count);
    if (folder_ && path == folderPath_) return {};
    folder_.reset(openInside(path, O_RDONLY | O_DIRECTORY));
    if (!folder_ && count > 0 && (errno == ENOENT || errno == ENOTDIR)) {
      if (Status above = openFolder(parts, count - 1); !above) return above;
      if (Status made = makeFolder({folder_.get(), parts[count - 1]}); !made) return made;
      folder_.reset(openInside(path, O_RDONLY | O_DIRECTORY));
    }
    if (!folder_) return errnoStatus(errno, "cannot open the folder " + path);
    folderPath_ = path;
    return {};
  }

  static bool isWhiteout(const struct stat& info) {
    return S_ISCHR(info.st_mode) && info.st_rdev == 0;
  }

  static Status markOpaque(int folder) {
    if (::fsetxattr(folder, kOpaqueAttribute, "y", 1, 0) == 0) return {};
    return errnoStatus(errno,
                       "cannot hide what lower layers have there (attribute user.overlay.opaque)");
  }

  /// A folder; what else has the name gives way. Over a whiteout, what lower layers have stays
  /// hidden.
  Status makeFolder(const Place& place) {
    struct stat info{};
    bool hides = false;
    if (::fstatat(place.parent, place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
      if (S_ISDIR(info.st_mode)) return {};
      hides = isWhiteout(info);
      if (::unlinkat(place.parent, place.name.c_str(), 0) < 0)
        return errnoStatus(errno, "cannot replace it by a folder");
    }
    if (::mkdirat(place.parent, place.name.c_str(), 0755) < 0)
      return errnoStatus(errno, "cannot make a folder");
    if (!hides) return {};
    const UniqueFd made(::openat(place.parent, place.name.c_str(),
                                 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    return made ? markOpaque(made.get()) : errnoStatus(errno, "cannot open the folder");
  }

  /// Makes room for something that is no folder.
  static Status clear(const Place& place) {
    if (::unlinkat(place.parent, place.name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno == EISDIR && ::unlinkat(place.parent, place.name.c_str(), AT_REMOVEDIR) == 0)
      return {};
    return errnoStatus(errno, "cannot replace what an earlier entry made");
  }

  Status unpack(archive_entry* entry, const char* path) {
    auto parts = partsOf(path);
    if (!parts) return Status(Code::kInvalid, "the name leads out of the layer");
    if (parts->empty()) {
      folders_.push_back({".", archive_entry_mode(entry) & 07777, mtimeOf(entry)});
      return setOwner({root_.get(), "."}, entry);
    }
    if (Status opened = openFolder(*parts, parts->size() - 1); !opened) return opened;
    const Place place{folder_.get(), parts->back()};
    if (place.name.starts_with(kWhiteout)) return whiteOut(place);

    const auto type = archive_entry_filetype(entry);
    if (const char* target = archive_entry_hardlink(entry)) return hardLink(place, target);
    if (type == AE_IFDIR) {
      if (Status made = makeFolder(place); !made) return made;
      const UniqueFd own(::openat(place.parent, place.name.c_str(),
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!own) return errnoStatus(errno, "cannot open the folder");
      folders_.push_back(
          {join(*parts, parts->size()), archive_entry_mode(entry) & 07777, mtimeOf(entry)});
      if (Status owned = setOwner(place, entry); !owned) return owned;
      setAttributes(place, entry);
      return {};
    }
    if (type == AE_IFCHR || type == AE_IFBLK || type == AE_IFSOCK) {
      ++report_.devices;
      return {};
    }
    if (Status cleared = clear(place); !cleared) return cleared;
    Status made = type == AE_IFREG   ? writeFile(place)
                  : type == AE_IFLNK ? symlink(place, archive_entry_symlink(entry))
                  : type == AE_IFIFO ? fifo(place)
                                     : Status(Code::kInvalid, "an entry of an unknown type");
    if (made) made = setOwner(place, entry);
    if (!made) return made;
    setAttributes(place, entry);
    // After the owner: a change of it takes setuid bits away.
    if (type != AE_IFLNK &&
        ::fchmodat(place.parent, place.name.c_str(), archive_entry_mode(entry) & 07777, 0) < 0)
      return errnoStatus(errno, "cannot set the mode");
    const timespec times[2] = {mtimeOf(entry), mtimeOf(entry)};
    ::utimensat(place.parent, place.name.c_str(), times, AT_SYMLINK_NOFOLLOW);
    return {};
  }

  Status whiteOut(const Place& place) {
    if (place.name == kOpaque) return markOpaque(place.parent);
    // The rest of aufs's own names.
    if (place.name.starts_with(".wh..wh.")) return {};
    const std::string name = place.name.substr(kWhiteout.size());
    if (name.empty() || name == "." || name == "..")
      return Status(Code::kInvalid, "a whiteout of no name");
    struct stat info{};
    if (::fstatat(place.parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
      // It hides lower layers only; this one's own entry stays.
      if (!S_ISDIR(info.st_mode)) return {};
      const UniqueFd own(
          ::openat(place.parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      return own ? markOpaque(own.get()) : errnoStatus(errno, "cannot open the folder");
    }
    if (::mknodat(place.parent, name.c_str(), S_IFCHR, ::makedev(0, 0)) == 0) return {};
    return errnoStatus(errno, "cannot make a whiteout");
  }

  Status hardLink(const Place& place, const char* target) {
    const auto parts = partsOf(target);
    if (!parts || parts->empty())
      return Status(Code::kInvalid,
                    "a hard link to \"" + std::string(target) + "\", which leads out of the layer");
    const UniqueFd folder(openInside(join(*parts, parts->size() - 1), O_PATH | O_DIRECTORY));
    if (!folder)
      return Status(Code::kInvalid,
                    "a hard link to \"" + std::string(target) + "\", which is not in the layer");
    struct stat there{};
    struct stat here{};
    if (::fstatat(folder.get(), parts->back().c_str(), &there, AT_SYMLINK_NOFOLLOW) < 0 ||
        S_ISDIR(there.st_mode) || isWhiteout(there))
      return Status(Code::kInvalid, "a hard link to \"" + std::string(target) +
                                        "\", which is no file of the layer");
    if (::fstatat(place.parent, place.name.c_str(), &here, AT_SYMLINK_NOFOLLOW) == 0 &&
        here.st_ino == there.st_ino && here.st_dev == there.st_dev)
      return {};
    if (Status cleared = clear(place); !cleared) return cleared;
    if (::linkat(folder.get(), parts->back().c_str(), place.parent, place.name.c_str(), 0) == 0)
      return {};
    return errnoStatus(errno, "cannot link it to " + std::string(target));
  }

  Status writeFile(const Place& place) {
    const UniqueFd file(::openat(place.parent, place.name.c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return errnoStatus(errno, "cannot create it");
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    la_int64_t end = 0;
    int result = ARCHIVE_OK;
    while ((result = archive_read_data_block(tar_, &data, &size, &offset)) == ARCHIVE_OK) {
      for (std::string_view left(static_cast<const char*>(data), size); !left.empty();) {
        const ssize_t n = ::pwrite(file.get(), left.data(), left.size(), offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errnoStatus(errno, "cannot write it");
        left.remove_prefix(static_cast<std::size_t>(n));
        offset += n;
        report_.bytes += static_cast<std::uint64_t>(n);
      }
      end = offset;
    }
    if (result != ARCHIVE_EOF) return tarFailure();
    // The holes at the end of a sparse file come as an offset without data.
    if (offset > end) end = offset;
    if (::ftruncate(file.get(), end) < 0) return errnoStatus(errno, "cannot set its size");
    return {};
  }

  static Status symlink(const Place& place, const char* target) {
    if (target == nullptr || *target == 0) return Status(Code::kInvalid, "a link to nothing");
    if (::symlinkat(target, place.parent, place.name.c_str()) == 0) return {};
    return errnoStatus(errno, "cannot make a symbolic link");
  }

  static Status fifo(const Place& place) {
    if (::mknodat(place.parent, place.name.c_str(), S_IFIFO | 0600, 0) == 0) return {};
    return errnoStatus(errno, "cannot make a FIFO");
  }

  Status setOwner(const Place& place, archive_entry* entry) {
    if (!keepOwners_) return {};
    const auto uid = static_cast<uid_t>(archive_entry_uid(entry));
    const auto gid = static_cast<gid_t>(archive_entry_gid(entry));
    if (::fchownat(place.parent, place.name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) == 0) return {};
    // An id that the user namespace does not have, or one as a rootless one has it.
    if (errno != EINVAL && errno != EPERM) return errnoStatus(errno, "cannot set the owner");
    ++report_.owners;
    return {};
  }

  /// File capabilities and what users set. Not those by which overlayfs itself would be told lies.
  void setAttributes(const Place& place, archive_entry* entry) {
    const std::string path = "/proc/self/fd/" + std::to_string(place.parent) + "/" + place.name;
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
      const std::string_view attribute = name;
      const bool wanted =
          attribute == "security.capability" ||
          (attribute.starts_with("user.") && !attribute.starts_with("user.overlay."));
      if (!wanted || ::lsetxattr(path.c_str(), name, value, size, 0) < 0) ++report_.attributes;
    }
  }

  static timespec mtimeOf(archive_entry* entry) {
    if (archive_entry_mtime_is_set(entry) == 0) return {0, UTIME_OMIT};
    return {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
  }

  /// Only now: files came into folders that nobody may write to, and changed their times.
  Status finishFolders() {
    for (auto it = folders_.rbegin(); it != folders_.rend(); ++it) {
      const UniqueFd folder(openInside(it->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      if (!folder) continue;  // a later entry replaced it
      if (::fchmod(folder.get(), it->mode) < 0)
        return errnoStatus(errno, "cannot set the mode of " + it->path);
      const timespec times[2] = {it->mtime, it->mtime};
      ::futimens(folder.get(), times);
    }
    return {};
  }

  struct Folder {
    std::string path;
    mode_t mode;
    timespec mtime;
  };

  archive* tar_;
  UniqueFd root_;
  bool keepOwners_;
  UniqueFd folder_;
  std::string folderPath_;
  std::vector<Folder> folders_;
  UnpackReport report_;
};

}  // namespace

Result<UnpackReport> unpackLayer(const std::string& file, const std::string& folder,
                                 const std::string& diffId) {
  const Utf8Locale locale;
  UniqueFd root(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return errnoStatus(errno, "cannot open " + folder);
  auto stream = LayerStream::open(file);
  if (!stream) return stream.status();
  Unpacker unpacker((*stream)->tar(), std::move(root));
  if (Status status = unpacker.run(); !status) return status;
  const auto digest = (*stream)->finish();
  if (!digest) return digest.status();
  if (*digest != diffId)
    return Status(Code::kInvalid,
                  "it has the content " + *digest + ", and not " + diffId + " as its image says");
  return unpacker.report();
}

}  // namespace podlab::image
