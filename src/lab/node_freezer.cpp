#include "lab/node_freezer.hpp"

namespace podlab::lab {

Status NodeFreezer::supported() const {
  if (cgroups_.of("freezer") != nullptr) return {};
  std::string reason = cgroups_.reason();
  if (reason.empty()) reason = "no cgroup hierarchy here has the freezer";
  return Status(Code::kHostUnsupported,
                "not on this host: nodes are frozen by the cgroup freezer, and this lab has no "
                "cgroups: " +
                    reason);
}

Status NodeFreezer::adopt(const std::string& node, pid_t pid) const {
  const CgroupHierarchy* hierarchy = cgroups_.of("freezer");
  if (hierarchy == nullptr) return {};
  const std::string path = initPath(node);
  if (Status made = makeCgroup(*hierarchy, path); !made.ok()) return made;
  return writeCgroupFile(hierarchy->base + "/" + path + "/cgroup.procs", std::to_string(pid));
}

Status NodeFreezer::set(const std::string& node, bool frozen) const {
  if (Status status = supported(); !status.ok()) return status;
  const CgroupHierarchy& hierarchy = *cgroups_.of("freezer");
  for (const auto& path : {initPath(node), lab_ + "/" + node}) {
    Status status = freezeCgroup(hierarchy.base + "/" + path, frozen);
    // The agent makes its cgroup when it starts.
    if (!status.ok() && !status.is(Code::kNotFound)) return status;
  }
  return {};
}

std::vector<std::string> NodeFreezer::folders(const std::string& node) const {
  auto all = cgroups_.folders(lab_ + "/" + node);
  if (const CgroupHierarchy* hierarchy = cgroups_.of("freezer"))
    all.push_back(hierarchy->base + "/" + initPath(node));
  return all;
}

}  // namespace podlab::lab
