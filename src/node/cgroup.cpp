#include "node/cgroup.hpp"

#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <fstream>

namespace podlab::node {
namespace {

bool hasType(const std::string& path, long magic) {
  struct statfs info{};
  return ::statfs(path.c_str(), &info) == 0 && info.f_type == magic;
}

bool isWritable(const std::string& path) {
  return ::access(path.c_str(), W_OK) == 0;
}

}  // namespace

CgroupSupport detectCgroups(const std::string& root) {
  if (hasType(root, CGROUP2_SUPER_MAGIC)) {
    if (isWritable(root + "/cgroup.procs")) return {CgroupMode::kV2, ""};
    return {CgroupMode::kNone, root + " is not writable: run as root, or in a delegated cgroup"};
  }
  if (hasType(root + "/unified", CGROUP2_SUPER_MAGIC)) {
    std::string controllers;
    std::getline(std::ifstream(root + "/unified/cgroup.controllers"), controllers);
    if (!controllers.empty()) {
      return {CgroupMode::kNone, root + "/unified has controllers (" + controllers +
                                     ") beside version 1 hierarchies: hide that mount"};
    }
  }
  if (hasType(root + "/memory", CGROUP_SUPER_MAGIC)) {
    if (isWritable(root + "/memory/cgroup.procs")) return {CgroupMode::kV1, ""};
    return {CgroupMode::kNone, root + "/memory is not writable: run as root"};
  }
  return {CgroupMode::kNone, "no cgroup hierarchy at " + root + ": mount cgroup2 there"};
}

}  // namespace podlab::node
