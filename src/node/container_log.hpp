#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <asio/any_io_executor.hpp>

#include "common/co.hpp"
#include "common/status.hpp"
#include "common/time.hpp"

namespace podlab::node {

/// As the options of `kubectl logs`.
struct LogOptions {
  bool follow = false;
  std::optional<std::int64_t> tailLines;   ///< only the last so many; then `since` applies too
  std::optional<WallTime> since;           ///< only what is not older
  bool timestamps = false;                 ///< each line begins with its time and a space
  std::optional<std::int64_t> limitBytes;  ///< ends after so many, also within a line
  bool separateStderr = false;             ///< otherwise both streams are one text
};

struct LogText {
  std::string text;
  std::string stderrText;  ///< with separateStderr
  bool empty() const { return text.empty() && stderrText.empty(); }
};

/// Reads a container's log (CRI format, container_log_writer.hpp) as text: both streams in the
/// order in which they were written, byte for byte what the container wrote, also where an end of
/// line is missing, over all files of the log (container_log_files.hpp). Entries that are not in
/// the format are left out; one that is still being written is waited for, or left out at the end.
/// A reader so slow that files were removed before it has read them says so in a line of its own.
class ContainerLogReader {
 public:
  virtual ~ContainerLogReader() = default;
  /// The next text, never empty. kEndOfStream at the limit, and at the end of the log: at once
  /// without `follow`, else after finish().
  virtual Co<Result<LogText>> read() = 0;
  /// The container has ended: nothing more will be written.
  virtual void finish() = 0;
};

/// kNotFound when there is no such log.
Result<std::unique_ptr<ContainerLogReader>> openContainerLog(asio::any_io_executor executor,
                                                             const std::string& path,
                                                             LogOptions options);

}  // namespace podlab::node
