#pragma once
#include <string>
#include <vector>

#include "common/status.hpp"

namespace podlab::image {

/// A root file system from this host's own programs, without a network where they are installed.
struct RootfsOptions {
  /// Names of Debian packages (their files as installed here; else what `apt-get download` brings),
  /// or .deb files. Documentation and translations are left out.
  std::vector<std::string> packages;
  bool dependencies = true;  ///< of installed packages, too
  /// PATH or PATH:DESTINATION of a file or folder of this host, with the shared libraries that its
  /// programs need (ldd(1)).
  std::vector<std::string> files;
};

/// Makes it in the empty folder `root`, with the customary folders, /etc/passwd and, where busybox
/// is among the files and no shell, its applets. `work` is a folder for downloads. `lock`: see
/// runTool().
Status buildRootfs(const RootfsOptions& options, const std::string& root, const std::string& work,
                   int lock);

}  // namespace podlab::image
