#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/status.hpp"

namespace podlab::node {

/// One entry of a log in CRI's format (container_log_writer.hpp).
struct LogEntry {
  std::string_view time;
  bool isStderr = false;
  bool partial = false;  ///< the next entry continues its line
  std::string_view content;
};
/// `line` is without its end; nullopt when it is not in the format.
std::optional<LogEntry> parseLogEntry(std::string_view line);

/// Finds where the last lines of a log begin, file by file from the newest to the oldest. A line is
/// what ends in an entry that is not partial, and what is left after the last such.
class LogTail {
 public:
  explicit LogTail(std::int64_t lines) : wanted_(lines) {}
  /// Reads the file `fd` backwards; where in it the tail begins, nullopt when in an older one.
  Result<std::optional<off_t>> search(int fd);

 private:
  std::int64_t wanted_;
  std::int64_t found_ = 0;
  bool last_ = true;  ///< no entry has been seen
};

}  // namespace podlab::node
