#pragma once
#include <cstdint>
#include <string>

#include "common/status.hpp"

namespace podlab::node {

/// What volumes need of the kernel. All of it blocks.

/// Whether a tmpfs of its own is mounted on the path.
bool isTmpfsMount(const std::string& path);
/// Whether the path is in a tmpfs.
bool isInTmpfs(const std::string& path);

/// Checks a hostPath volume's path, and makes it where its type says so
/// (HostPathVolumeSource.type). The messages are kubelet's.
Status prepareHostPath(const std::string& path, const std::string& type, std::uint32_t mode);

/// Binds what is at `path` below `folder` (a file or a folder; a folder is made when nothing is
/// there) on `target`, which is made as well. No symbolic link leads out of `folder`: kForbidden
/// then. What is opened is what is bound, so that nobody can exchange it in between.
Status bindBeneath(const std::string& folder, const std::string& path, const std::string& target);

/// Unmounts whatever is mounted on `path`, with what is mounted below; nothing is OK. What is
/// mounted below elsewhere, by propagation, stays there.
void unmount(const std::string& path);
/// Unmounts all that is mounted below the folder.
void unmountBelow(const std::string& folder);

/// The bytes that the files below `folder` take on disk; mounts below it are left out.
Result<std::int64_t> diskUsage(const std::string& folder);

}  // namespace podlab::node
