#include "lab/lab_state.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "common/cgroups.hpp"
#include "common/hash.hpp"

namespace podlab::lab {
namespace {

/// The kernel's lock table has the holder's pid as seen from here, which the lab itself, PID 1 of a
/// namespace, does not know.
std::optional<int> lockHolder(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  struct flock query{};
  query.l_type = F_WRLCK;
  query.l_whence = SEEK_SET;
  if (::fcntl(fd.get(), F_GETLK, &query) < 0 || query.l_type == F_UNLCK) return std::nullopt;
  return query.l_pid;
}

}  // namespace

Result<std::string> labsRoot() {
  if (const char* dir = std::getenv("PODLAB_STATE_DIR"); dir && *dir) {
    if (*dir != '/')
      return Status(Code::kBadRequest,
                    "PODLAB_STATE_DIR: \"" + std::string(dir) + "\" is not an absolute path");
    return std::string(dir);
  }
  if (::geteuid() == 0) return std::string("/var/lib/podlab");
  if (const char* dir = std::getenv("XDG_STATE_HOME"); dir && *dir == '/')
    return std::string(dir) + "/podlab";
  if (const char* home = std::getenv("HOME"); home && *home == '/')
    return std::string(home) + "/.local/state/podlab";
  return Status(Code::kNotFound,
                "no place for the lab's state: set HOME, XDG_STATE_HOME or PODLAB_STATE_DIR");
}

Result<std::string> imageStoreRoot() {
  auto root = labsRoot();
  return root ? *root + "/.images" : root;
}

Result<LabPaths> labPaths(std::string_view name) {
  auto root = labsRoot();
  if (!root) return root.status();
  return LabPaths{*root + "/" + std::string(name)};
}

Result<std::vector<std::string>> listLabs() {
  auto root = labsRoot();
  if (!root) return root.status();
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(*root, error)) {
    if (std::filesystem::exists(entry.path() / "cluster.yaml", error))
      names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<int> runningLab(const LabPaths& paths) {
  return lockHolder(paths.lock());
}

Result<UniqueFd> lockLabs() {
  auto root = labsRoot();
  if (!root) return root.status();
  std::error_code error;
  std::filesystem::create_directories(*root, error);
  if (error) return errnoStatus(error.value(), "cannot create " + *root);
  UniqueFd fd(::open(root->c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errnoStatus(errno, "cannot open " + *root);
  while (::flock(fd.get(), LOCK_EX) < 0) {
    if (errno != EINTR) return errnoStatus(errno, "cannot lock " + *root);
  }
  return fd;
}

std::string labCgroup(const LabPaths& paths) {
  // Labs of several users and state folders may have the same name.
  std::array<char, 9> digits;
  std::snprintf(digits.data(), digits.size(), "%08x", static_cast<unsigned>(fnv1a(paths.root)));
  return "podlab/" + paths.root.substr(paths.root.rfind('/') + 1) + "-" + digits.data();
}

Status removeLabCgroups(Filesystem& files, const LabPaths& paths) {
  auto text = files.readFile(paths.cgroups());
  if (!text) return text.status().is(Code::kNotFound) ? Status() : text.status();
  const std::string own = "/" + labCgroup(paths);
  std::vector<std::string> folders;
  std::istringstream lines(*text);
  for (std::string folder; std::getline(lines, folder);) {
    if (folder.ends_with(own)) folders.push_back(folder);
  }
  // Version 1 keeps what is frozen even from SIGKILL.
  for (const auto& folder : folders) thawCgroups(folder);
  for (const auto& folder : folders) {
    Status removed = removeCgroup(folder);
    if (removed.is(Code::kConflict)) killCgroup(folder);
    if (!removed) return removed;
    ::rmdir(
        folder.substr(0, folder.rfind('/')).c_str());  // of all labs; in use by others, it stays
  }
  return files.removeFile(paths.cgroups());
}

Result<UniqueFd> lockLab(const LabPaths& paths) {
  UniqueFd fd(::open(paths.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return errnoStatus(errno, "cannot open " + paths.lock());
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(fd.get(), F_SETLK, &lock) < 0) {
    if (errno == EAGAIN || errno == EACCES)
      return Status(Code::kAlreadyExists, "the lab at " + paths.root + " is already running");
    return errnoStatus(errno, "cannot lock " + paths.lock());
  }
  return fd;
}

}  // namespace podlab::lab
