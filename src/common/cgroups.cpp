#include "common/cgroups.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>

#include "common/unique_fd.hpp"

namespace podlab {
namespace {

std::string readText(const std::string& file) {
  UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 8192> buffer;
  ssize_t n = 0;
  while (fd && (n = ::read(fd.get(), buffer.data(), buffer.size())) > 0)
    text.append(buffer.data(), n);
  return text;
}

bool mayMoveInto(const std::string& folder) {
  return ::access((folder + "/cgroup.procs").c_str(), W_OK) == 0 &&
         ::access(folder.c_str(), W_OK) == 0;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

struct Hierarchy {
  std::string mountPoint;
  std::string root;  ///< the cgroup that is mounted there
  std::vector<std::string> options;
  bool unified = false;
};

/// proc_pid_mountinfo(5): "ID PARENT DEV ROOT POINT OPTIONS [TAGS] - TYPE SOURCE SUPEROPTIONS".
std::vector<Hierarchy> mountedHierarchies(const std::string& mountinfo) {
  std::vector<Hierarchy> all;
  for (const auto& line : split(mountinfo, '\n')) {
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const auto before = split(line.substr(0, dash), ' ');
    const auto after = split(line.substr(dash + 3), ' ');
    if (before.size() < 6 || after.empty() || !after[0].starts_with("cgroup")) continue;
    Hierarchy found{before[4], before[3], split(after.back(), ','), after[0] == "cgroup2"};
    // A later mount covers an earlier one at the same place.
    std::erase_if(all, [&](const auto& one) { return one.mountPoint == found.mountPoint; });
    all.push_back(std::move(found));
  }
  return all;
}

/// The path of this process's cgroup below the mount point ("" at its root).
std::string ownPath(const std::string& own, const Hierarchy& hierarchy) {
  // "ID:CONTROLLERS:PATH"; version 2 is "0::PATH".
  for (const auto& line : split(own, '\n')) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const auto controllers = split(line.substr(first + 1, second - first - 1), ',');
    const bool same = hierarchy.unified
                          ? controllers.empty()
                          : !controllers.empty() && contains(hierarchy.options, controllers[0]);
    if (!same) continue;
    std::string path = line.substr(second + 1);
    if (hierarchy.root != "/" && path.starts_with(hierarchy.root))
      path.erase(0, hierarchy.root.size());
    return path == "/" ? "" : path;
  }
  return "";
}

/// The highest cgroup from the mount point down to this process's own that it may use.
std::string highestUsable(const Hierarchy& hierarchy, const std::string& own,
                          bool (*mayMove)(const std::string&)) {
  std::string folder = hierarchy.mountPoint;
  if (mayMove(folder)) return folder;
  for (const auto& part : split(own, '/')) {
    folder += "/" + part;
    if (mayMove(folder)) return folder;
  }
  return "";
}

}  // namespace

const CgroupHierarchy* Cgroups::of(std::string_view controller) const {
  for (const auto& hierarchy : hierarchies_) {
    if (contains(hierarchy.controllers, controller) ||
        (hierarchy.unified && controller == "freezer"))
      return &hierarchy;
  }
  return nullptr;
}

std::vector<std::string> Cgroups::folders(const std::string& path) const {
  std::vector<std::string> all;
  all.reserve(hierarchies_.size());
  for (const auto& hierarchy : hierarchies_) all.push_back(hierarchy.base + "/" + path);
  return all;
}

Cgroups readCgroups(const std::string& mountinfo, const std::string& own,
                    bool (*mayMove)(const std::string& folder),
                    std::string (*read)(const std::string& file)) {
  std::vector<CgroupHierarchy> usable;
  std::map<std::string, std::string> why;  // by controller
  const auto mounted = mountedHierarchies(mountinfo);
  const bool hybrid = std::ranges::any_of(mounted, [](const auto& one) { return !one.unified; });
  for (const auto& hierarchy : mounted) {
    if (hybrid && hierarchy.unified) continue;
    const std::string base = highestUsable(hierarchy, ownPath(own, hierarchy), mayMove);
    const std::string at = base.empty() ? hierarchy.mountPoint : base;
    const auto there =
        hierarchy.unified ? split(read(at + "/cgroup.controllers"), ' ') : hierarchy.options;
    CgroupHierarchy found{base, {}, hierarchy.unified};
    for (std::string name : there) {
      while (name.ends_with('\n')) name.pop_back();
      if (std::find(std::begin(kCgroupControllers), std::end(kCgroupControllers), name) !=
          std::end(kCgroupControllers))
        found.controllers.push_back(name);
    }
    if (found.controllers.empty()) continue;
    if (base.empty()) {
      for (const auto& name : found.controllers)
        why[name] =
            hierarchy.mountPoint +
            (hierarchy.unified
                 ? " is not delegated to this user: run as root, or below systemd-run --user "
                   "--scope -p Delegate=yes"
                 : " is not writable: run as root");
      continue;
    }
    // Version 2: a cgroup with processes cannot give controllers to those below it, unless it is
    // the hierarchy's root, which alone has no cgroup.type.
    const auto enabled = split(read(base + "/cgroup.subtree_control"), ' ');
    if (hierarchy.unified && enabled.empty() && !read(base + "/cgroup.type").empty() &&
        !read(base + "/cgroup.procs").empty()) {
      for (const auto& name : found.controllers)
        why[name] = base + " has processes of its own, so that it cannot be divided";
      continue;
    }
    usable.push_back(std::move(found));
  }
  Cgroups cgroups(usable, "");
  std::string reason;
  for (const char* name : {"cpu", "memory", "pids"}) {
    if (cgroups.of(name) != nullptr) continue;
    const auto found = why.find(name);
    reason += (reason.empty() ? "" : "; ") + std::string(name) + ": " +
              (found != why.end() ? found->second : "no cgroup hierarchy here has the controller");
  }
  return {std::move(usable), std::move(reason)};
}

Cgroups Cgroups::find() {
  return readCgroups(readText("/proc/self/mountinfo"), readText("/proc/self/cgroup"), mayMoveInto,
                     readText);
}

Status makeCgroup(const CgroupHierarchy& hierarchy, const std::string& path) {
  std::string folder = hierarchy.base;
  for (const auto& part : split(path, '/')) {
    if (hierarchy.unified) {
      for (const auto& name : hierarchy.controllers) {
        const std::string control = folder + "/cgroup.subtree_control";
        if (Status enabled = writeCgroupFile(control, "+" + name); !enabled.ok()) return enabled;
      }
    }
    folder += "/" + part;
    if (::mkdir(folder.c_str(), 0755) < 0 && errno != EEXIST)
      return errnoStatus(errno, "cannot make the cgroup " + folder);
  }
  return {};
}

Status writeCgroupFile(const std::string& file, std::string_view value) {
  UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), value.data(), value.size()) < 0)
    return errnoStatus(errno, "cannot write " + std::string(value) + " to " + file);
  return {};
}

std::optional<std::uint64_t> readCgroupNumber(const std::string& file, std::string_view key) {
  for (const auto& line : split(readText(file), '\n')) {
    std::istringstream fields(line);
    std::string name;
    std::uint64_t value = 0;
    if (!key.empty() && (!(fields >> name) || name != key)) continue;
    if (fields >> value) return value;
  }
  return std::nullopt;
}

std::vector<std::string> cgroupsIn(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->is_directory(error)) names.push_back(it->path().filename());
  }
  return names;
}

Status freezeCgroup(const std::string& folder, bool frozen) {
  if (::access((folder + "/freezer.state").c_str(), F_OK) == 0)
    return writeCgroupFile(folder + "/freezer.state", frozen ? "FROZEN" : "THAWED");
  return writeCgroupFile(folder + "/cgroup.freeze", frozen ? "1" : "0");
}

void thawCgroups(const std::string& folder) {
  (void)freezeCgroup(folder, false);
  for (const auto& name : cgroupsIn(folder)) thawCgroups(folder + "/" + name);
}

void killCgroup(const std::string& folder) {
  if (writeCgroupFile(folder + "/cgroup.kill", "1").ok()) return;
  // Version 1, and kernels before 5.14. What forks meanwhile is found the next time round.
  for (const auto& name : cgroupsIn(folder)) killCgroup(folder + "/" + name);
  for (const auto& pid : split(readText(folder + "/cgroup.procs"), '\n')) {
    // 0 is a process that this PID namespace does not see.
    if (const int number = std::atoi(pid.c_str()); number > 0) ::kill(number, SIGKILL);
  }
}

Status removeCgroup(const std::string& folder) {
  for (const auto& name : cgroupsIn(folder)) {
    if (Status removed = removeCgroup(folder + "/" + name); !removed.ok()) return removed;
  }
  if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return {};
  if (errno == EBUSY)
    return Status(Code::kConflict, "cannot remove " + folder + ": processes are in it");
  return errnoStatus(errno, "cannot remove " + folder);
}

}  // namespace podlab
