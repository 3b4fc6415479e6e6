#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.hpp"

namespace podlab {

/// The file operations that must be testable with a full disk, a torn write or a lost file.
/// Blocking and short; paths are absolute. Errors name the path.
class Filesystem {
 public:
  virtual ~Filesystem() = default;
  virtual Result<std::string> readFile(const std::string& path) = 0;
  /// The last `most` bytes of a file, whatever its size.
  virtual Result<std::string> readTail(const std::string& path, std::size_t most) = 0;
  /// Replaces `path` whole: temporary file beside it, fsync (when `durable`), rename, fsync of the
  /// folder. A reader or a crash sees the old or the new content, never a mixture. When not
  /// `durable`, the former file stays beside it as PATH.tmp, to be written the next time. `mode` is
  /// exact, whatever the umask.
  virtual Status writeFileAtomic(const std::string& path, std::string_view content,
                                 std::uint32_t mode = 0644, bool durable = true) = 0;
  virtual Status createDirectories(const std::string& path, std::uint32_t mode = 0755) = 0;
  /// Removes the file or the tree, never following symbolic links nor crossing mounts; absent is
  /// OK.
  virtual Status removeTree(const std::string& path) = 0;
  virtual Status removeFile(const std::string& path) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  /// The path itself, also when it is a dangling symbolic link.
  virtual bool exists(const std::string& path) = 0;
  /// `target` is stored as it is.
  virtual Status createSymlink(const std::string& target, const std::string& path) = 0;
  virtual Result<std::string> readLink(const std::string& path) = 0;
  /// Names in the folder, sorted, without "." and "..".
  virtual Result<std::vector<std::string>> listDirectory(const std::string& path) = 0;
};

std::unique_ptr<Filesystem> makeRealFilesystem();

/// Creates the folder and says that the folders in it have nothing to do with each other, so that
/// ext4 spreads them over the disk (attribute T of chattr(1)). Side by side, where many folders
/// come and go, ext4 looks through all that were lately deleted for each new file. Other file
/// systems ignore it.
Status makeFolderOfUnrelated(Filesystem& files, const std::string& path);

}  // namespace podlab
