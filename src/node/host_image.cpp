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

Co<Result<Image>> HostImageStore::resolve(std::string reference) {
  if (reference != "host") {
    co_return Status(
        Code::kNotFound,
        "image \"" + reference +
            "\" is not on this host; this release has the built-in image \"host\" only");
  }
  Image image;
  image.reference = reference;
  image.id = "host";
  image.isHost = true;
  image.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  image.workingDir = "/";
  co_return image;
}

Status makeHostRootfs(Filesystem& files, const std::string& folder) {
  Status status = files.createDirectories(folder);
  for (const auto& entry : programFolders()) {
    if (!status) return status;
    const std::string path = folder + entry.path().string();
    std::error_code ignored;
    if (entry.is_symlink(ignored)) {
      status = link(fs::read_symlink(entry.path(), ignored), path);
    } else if (entry.is_directory(ignored)) {
      status = files.createDirectories(path);
    }
  }
  for (const char* name :
       {"proc", "dev", "sys", "mnt", "media", "srv", "home", "root", "tmp", "run/lock", "var/cache",
        "var/lib", "var/local", "var/log", "var/spool", "var/tmp"}) {
    if (!status) return status;
    status = files.createDirectories(folder + "/" + name);
  }
  if (status) status = link("/run", folder + "/var/run");
  if (status) status = link("/run/lock", folder + "/var/lock");
  for (const char* name : {"tmp", "var/tmp"}) {
    if (!status) return status;
    if (::chmod((folder + "/" + name).c_str(), 01777) < 0)
      status = errnoStatus(errno, "cannot open up " + folder + "/" + name);
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
