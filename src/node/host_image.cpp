#include "node/host_image.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace podlab::node {
namespace {

namespace fs = std::filesystem;

/// Whether the host's /NAME belongs to the image.
bool isProgramFolder(const std::string& name) {
  static const std::vector<std::string> kNames{"usr", "bin", "sbin", "etc", "opt", "nix"};
  return name.starts_with("lib") || std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

std::vector<fs::directory_entry> programFolders() {
  std::vector<fs::directory_entry> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/", ignored)) {
    if (isProgramFolder(entry.path().filename())) found.push_back(entry);
  }
  std::sort(found.begin(), found.end());
  return found;
}

Status link(const std::string& target, const std::string& path) {
  if (::symlink(target.c_str(), path.c_str()) == 0 || errno == EEXIST) return {};
  return errnoStatus(errno, "cannot create " + path);
}

}  // namespace

HostImageStore::HostImageStore(Filesystem& files, std::string folder)
    : files_(files), folder_(std::move(folder)) {}

Co<Result<Image>> HostImageStore::resolve(std::string reference) {
  if (reference != "host") {
    co_return Status(
        Code::kNotFound,
        "image \"" + reference +
            "\" is not on this host; this release has the built-in image \"host\" only");
  }
  if (!made_) {
    Status made = makeFolder();
    if (!made) co_return made;
    made_ = true;
  }
  Image image;
  image.reference = reference;
  image.id = "host";
  image.isHost = true;
  image.rootfs = folder_;
  image.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  image.workingDir = "/";
  co_return image;
}

Status HostImageStore::makeFolder() {
  Status status = files_.createDirectories(folder_);
  for (const auto& entry : programFolders()) {
    if (!status) return status;
    const std::string path = folder_ + entry.path().string();
    std::error_code ignored;
    if (entry.is_symlink(ignored)) {
      status = link(fs::read_symlink(entry.path(), ignored), path);
    } else if (entry.is_directory(ignored)) {
      status = files_.createDirectories(path);
    }
  }
  for (const char* name :
       {"proc", "dev", "sys", "mnt", "media", "srv", "home", "root", "tmp", "run/lock", "var/cache",
        "var/lib", "var/local", "var/log", "var/spool", "var/tmp"}) {
    if (!status) return status;
    status = files_.createDirectories(folder_ + "/" + name);
  }
  if (status) status = link("/run", folder_ + "/var/run");
  if (status) status = link("/run/lock", folder_ + "/var/lock");
  for (const char* name : {"tmp", "var/tmp"}) {
    if (!status) return status;
    if (::chmod((folder_ + "/" + name).c_str(), 01777) < 0)
      status = errnoStatus(errno, "cannot open up " + folder_ + "/" + name);
  }
  return status;
}

std::vector<std::string> hostImageBinds() {
  std::vector<std::string> paths;
  std::error_code ignored;
  for (const auto& entry : programFolders()) {
    if (!entry.is_symlink(ignored) && entry.is_directory(ignored)) paths.push_back(entry.path());
  }
  return paths;
}

const std::vector<std::string>& hostImageScratch() {
  static const std::vector<std::string> kPaths{"/tmp", "/var", "/run", "/root", "/home"};
  return kPaths;
}

}  // namespace podlab::node
