#include "node/container_cgroup.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace podlab::node {
namespace {

/// The controllers' line for cgroup.subtree_control.
std::string enabling(const CgroupHierarchy& hierarchy) {
  std::string line;
  for (const auto& name : hierarchy.controllers) line += (line.empty() ? "+" : " +") + name;
  return line;
}

bool has(const CgroupHierarchy& hierarchy, std::string_view controller) {
  return std::ranges::find(hierarchy.controllers, controller) != hierarchy.controllers.end();
}

}  // namespace

std::string processFile(const CgroupHierarchy& hierarchy, const std::string& folder) {
  return folder + (hierarchy.unified ? "/cgroup.procs" : "/tasks");
}

CgroupPlan planCgroup(const NodeCgroups& node, const ContainerSpec& spec) {
  CgroupPlan plan;
  for (const auto& hierarchy : node.cgroups.hierarchies()) {
    const std::string pod = hierarchy.base + "/" + node.pod(spec.podUid);
    const std::string own = pod + "/" + spec.id;
    plan.folders.push_back(pod);
    plan.folders.push_back(own);
    const auto add = [&plan](const std::string& folder,
                             const std::vector<CgroupSetting>& settings) {
      for (const auto& setting : settings)
        plan.writes.push_back({folder + "/" + setting.file, setting.value, setting.optional});
    };
    if (hierarchy.unified) add(pod, {{"cgroup.subtree_control", enabling(hierarchy)}});
    add(pod, limitSettings(hierarchy, spec.podLimits));
    add(own, limitSettings(hierarchy, spec.limits));
    if (has(hierarchy, "memory")) {
      // As kubelet: a container is killed as a whole. Version 1 cannot.
      if (hierarchy.unified) add(own, {{"memory.oom.group", "1", true}});
      plan.oomFile = own + (hierarchy.unified ? "/memory.events" : "/memory.oom_control");
    }
    if (has(hierarchy, "devices") && !spec.security.privileged) add(own, deviceSettings());
    plan.processFiles.push_back(processFile(hierarchy, own));
  }
  return plan;
}

Status applyCgroupPlan(const CgroupPlan& plan) {
  for (const auto& folder : plan.folders) {
    if (::mkdir(folder.c_str(), 0755) < 0 && errno != EEXIST)
      return errnoStatus(errno, "cannot make the cgroup " + folder);
  }
  for (const auto& write : plan.writes) {
    Status written = writeCgroupFile(write.file, write.value);
    if (!written.ok() && !(write.optional && written.is(Code::kNotFound))) return written;
  }
  return {};
}

Status makeNodeCgroup(const NodeCgroups& node, const CgroupLimits& limits) {
  for (const auto& hierarchy : node.cgroups.hierarchies()) {
    const std::string folder = hierarchy.base + "/" + node.path;
    if (Status made = makeCgroup(hierarchy, node.path); !made.ok()) return made;
    std::vector<CgroupSetting> settings = limitSettings(hierarchy, limits);
    if (hierarchy.unified) settings.push_back({"cgroup.subtree_control", enabling(hierarchy)});
    for (const auto& setting : settings) {
      Status written = writeCgroupFile(folder + "/" + setting.file, setting.value);
      if (!written.ok() && !(setting.optional && written.is(Code::kNotFound))) return written;
    }
  }
  return {};
}

}  // namespace podlab::node
