#pragma once
#include <string>
#include <string_view>

#include "common/status.hpp"
#include "common/time.hpp"
#include "common/unique_fd.hpp"

namespace podlab::node {

/// Writes a container's log in CRI's format (design doc "CRI: log management for container
/// stdout/stderr streams"): "TIME STREAM TAG CONTENT\n", TIME in RFC 3339 with nine fractional
/// digits, STREAM stdout or stderr, TAG F for the end of a line and P for a part that its next
/// entry continues. What was read is written at once, also without an end of line, so nothing is
/// lost when the writer dies.
class ContainerLogWriter {
 public:
  /// Appends to `path`, whose folder must exist.
  Status open(const std::string& path);
  /// Output as it was read from a stream, at most a few tens of KiB. Without space on the disk the
  /// output is dropped: a container must not hang for its log.
  void write(bool isStderr, std::string_view data, WallTime now);

 private:
  UniqueFd file_;
  std::string buffer_;
  bool torn_ = false;  ///< the last entry is incomplete
};

/// RFC 3339 in UTC with nine fractional digits.
std::string formatNanoTime(WallTime time);

}  // namespace podlab::node
