#pragma once
#include <string>
#include <vector>

#include "common/status.hpp"

namespace podlab::image {

/// Runs skopeo, umoci and their like to the end and returns stdout. The child inherits `lock`, so
/// that a store is not changed by others while it still writes. A failure is kInternal with the
/// last line of stderr; SIGINT and SIGTERM end the child and are kCanceled; a program that is not
/// there is kHostUnsupported with the Debian package that has it. With `progress`, what it writes
/// to stdout goes to stderr instead, as it comes.
struct ToolRun {
  std::vector<std::string> argv;
  int lock = -1;
  bool progress = false;
};
Result<std::string> runTool(const ToolRun& run);

}  // namespace podlab::image
