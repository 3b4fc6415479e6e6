#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/filesystem.hpp"
#include "common/status.hpp"

namespace podlab::node {

/// The log of one instance of a container is PATH, then PATH.1, PATH.2 and so on: the writer goes
/// on in the next file when one is full, and removes the oldest. No file is ever renamed, so a
/// reader that has one open knows which comes next, and a crash leaves nothing half done.
std::string logFileName(const std::string& path, std::uint64_t number);
/// Which of `names`, those of the files in the log's folder, are of the log; oldest first.
std::vector<std::uint64_t> logFileNumbers(const std::string& path,
                                          const std::vector<std::string>& names);
/// Removes all files of a log; none is OK.
Status removeContainerLog(Filesystem& files, const std::string& path);

}  // namespace podlab::node
