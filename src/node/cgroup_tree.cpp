#include "node/cgroup_tree.hpp"

#include <chrono>

#include "common/log.hpp"

namespace podlab::node {
namespace {

/// How long a container's cgroup may have processes after the container's end, and how often to
/// look.
constexpr Duration kPatience = std::chrono::seconds(2);
constexpr Duration kRetry = std::chrono::milliseconds(5);

}  // namespace

std::vector<std::string> CgroupTree::processFiles(const std::string& podUid,
                                                  const std::string& id) const {
  std::vector<std::string> files;
  if (!node_.any()) return files;
  for (const auto& hierarchy : node_.cgroups.hierarchies()) {
    std::string file = processFile(hierarchy, hierarchy.base + "/" + node_.container(podUid, id));
    if (files_.exists(file)) files.push_back(std::move(file));
  }
  return files;
}

Co<Status> CgroupTree::removeContainer(std::string podUid, std::string id) {
  if (!node_.any()) co_return Status();
  const MonoTime deadline = clock_.now() + kPatience;
  for (const auto& folder : node_.cgroups.folders(node_.container(podUid, id))) {
    Status removed = removeCgroup(folder);
    while (removed.is(Code::kConflict) && clock_.now() < deadline) {
      killCgroup(folder);
      co_await clock_.sleepFor(kRetry);
      removed = removeCgroup(folder);
    }
    if (!removed) co_return removed;
  }
  co_return Status();
}

Status CgroupTree::removePod(const std::string& podUid) {
  if (!node_.any()) return {};
  for (const auto& folder : node_.cgroups.folders(node_.pod(podUid))) {
    if (Status removed = removeCgroup(folder); !removed) return removed;
  }
  return {};
}

void CgroupTree::removeUnknown(const std::function<bool(const std::string& id)>& isKnown) {
  if (!node_.any()) return;
  for (const auto& folder : node_.cgroups.folders(node_.path)) {
    for (const auto& pod : cgroupsIn(folder)) {
      bool empty = true;
      for (const auto& id : cgroupsIn(folder + "/" + pod)) {
        if (isKnown(id)) {
          empty = false;
          continue;
        }
        const std::string unknown = folder + "/" + pod + "/" + id;
        killCgroup(unknown);
        Status removed = removeCgroup(unknown);
        if (!removed) logWarning("cgroup_not_removed", {{"error", removed}});
      }
      if (empty) (void)removeCgroup(folder + "/" + pod);
    }
  }
}

}  // namespace podlab::node
