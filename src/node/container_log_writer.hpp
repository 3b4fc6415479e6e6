#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/status.hpp"
#include "common/time.hpp"
#include "common/unique_fd.hpp"

namespace podlab::node {

/// How much of a container's log is kept; the defaults are kubelet's (containerLogMaxSize,
/// containerLogMaxFiles).
struct LogLimits {
  std::uint64_t maxFileBytes = 10UL << 20;
  std::uint64_t maxFiles = 5;  ///< with the one that is written to; at least 2
  bool operator==(const LogLimits&) const = default;
};

/// Writes a container's log in CRI's format (design doc "CRI: log management for container
/// stdout/stderr streams"): "TIME STREAM TAG CONTENT\n", TIME in RFC 3339 with nine fractional
/// digits, STREAM stdout or stderr, TAG F for the end of a line and P for a part that its next
/// entry continues. What was read is written at once, also without an end of line, so nothing is
/// lost when the writer dies. Full files are followed by others (container_log_files.hpp).
///
/// Without space on the disk the output is dropped, because a container must not hang for its log;
/// when there is space again, an entry says how much is missing.
class ContainerLogWriter {
 public:
  /// Appends to the log at `path`, whose folder must exist.
  Status open(const std::string& path, LogLimits limits = {});
  /// Output as it was read from a stream.
  void write(bool isStderr, std::string_view data, WallTime now);
  /// The output has ended: the last moment to say what is missing.
  void finish(WallTime now);

 private:
  void setHead(bool isStderr, WallTime now);
  void addEntry(std::string_view content, bool partial);
  void flush();
  void rotate();
  /// Whether what was lost before has been said.
  bool makeGood();
  bool writeAll(std::string_view text, std::size_t& written);

  std::string path_;
  LogLimits limits_;
  UniqueFd file_;
  std::uint64_t number_ = 0;  ///< of the file
  std::uint64_t size_ = 0;
  std::array<char, 40> head_{};   ///< of the next entry, up to its content
  std::int64_t headSecond_ = -1;  ///< that the head's text is of
  std::unique_ptr<char[]> buffer_;
  std::size_t used_ = 0;
  bool lineOpen_ = false;   ///< the last entry was partial
  bool torn_ = false;       ///< the last entry is incomplete
  std::uint64_t lost_ = 0;  ///< bytes of output since the last entry
  int error_ = 0;           ///< errno of the first of them
};

}  // namespace podlab::node
