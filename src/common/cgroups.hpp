#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.hpp"

namespace podlab {

/// The controllers that podlab uses; a host may have each in a version 1 hierarchy, in the unified
/// one (version 2), or in neither.
inline constexpr const char* kCgroupControllers[] = {"cpu",  "cpuacct", "memory",
                                                     "pids", "devices", "freezer"};

/// A mounted cgroup hierarchy, and where in it this process may make cgroups.
struct CgroupHierarchy {
  std::string base;                      ///< absolute folder; new cgroups go below it
  std::vector<std::string> controllers;  ///< those of kCgroupControllers that it has there
  bool unified = false;                  ///< version 2
};

/// Cgroups of this process's own, the same way in version 1, version 2 and hybrid layouts: a cgroup
/// is a path ("podlab/lab/node") that names a folder in every hierarchy of use (cgroups(7)). Of a
/// hybrid layout the version 1 hierarchies are used, which have the controllers that count.
///
/// The base of a hierarchy is the highest cgroup above this process into which it may move
/// processes: for root the root of the hierarchy, for an ordinary user what systemd has delegated.
class Cgroups {
 public:
  Cgroups() = default;
  Cgroups(std::vector<CgroupHierarchy> hierarchies, std::string reason)
      : hierarchies_(std::move(hierarchies)), reason_(std::move(reason)) {}

  /// As this process finds them, from /proc/self/mountinfo and /proc/self/cgroup. Changes nothing.
  static Cgroups find();

  const std::vector<CgroupHierarchy>& hierarchies() const { return hierarchies_; }
  /// The one that limits `controller`, or null. cpuacct is part of cpu in version 2, and the
  /// freezer of every cgroup.
  const CgroupHierarchy* of(std::string_view controller) const;
  bool isUnified() const { return hierarchies_.size() == 1 && hierarchies_.front().unified; }
  /// Why a controller has no hierarchy of use, and what would help; empty when all have.
  const std::string& reason() const { return reason_; }

  /// The folders of a cgroup, one a hierarchy.
  std::vector<std::string> folders(const std::string& path) const;

 private:
  std::vector<CgroupHierarchy> hierarchies_;
  std::string reason_;
};

/// The same from the two files' texts; `mayMove` says whether this process may move processes into
/// the cgroup of that folder, `read` gives a file's text ("" when there is none).
Cgroups readCgroups(const std::string& mountinfo, const std::string& own,
                    bool (*mayMove)(const std::string& folder),
                    std::string (*read)(const std::string& file));

/// Makes the folder and those above it up to `base`; in version 2 with `controllers` enabled for
/// it.
Status makeCgroup(const CgroupHierarchy& hierarchy, const std::string& path);
/// Writes a file of a cgroup; no error is without its path.
Status writeCgroupFile(const std::string& file, std::string_view value);
/// A number of a cgroup's file, or of the line that begins with `key` in it.
std::optional<std::uint64_t> readCgroupNumber(const std::string& file, std::string_view key = "");
/// The names of the cgroups in one; none when it is not there.
std::vector<std::string> cgroupsIn(const std::string& folder);
/// Holds all processes in the cgroup and below it, those that come as well, or lets them go on; the
/// hierarchy is that of the freezer. kNotFound when the cgroup is not there.
Status freezeCgroup(const std::string& folder, bool frozen);
/// Lets the processes of all cgroups below it, and its own, go on; other hierarchies are left
/// alone.
void thawCgroups(const std::string& folder);
/// Sends SIGKILL to all processes in the cgroup and below.
void killCgroup(const std::string& folder);
/// Removes the cgroup and those below; absent is OK, kConflict while processes are in it.
Status removeCgroup(const std::string& folder);

}  // namespace podlab
