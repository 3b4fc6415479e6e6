#include "node/container_log_entry.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace podlab::node {

std::optional<LogEntry> parseLogEntry(std::string_view line) {
  const auto field = [&line]() -> std::optional<std::string_view> {
    const auto end = line.find(' ');
    if (end == std::string_view::npos) return std::nullopt;
    const auto text = line.substr(0, end);
    line.remove_prefix(end + 1);
    return text;
  };
  const auto time = field();
  const auto stream = field();
  const auto tag = field();
  if (!tag || (*stream != "stdout" && *stream != "stderr")) return std::nullopt;
  // CRI allows further tags after a colon.
  const auto kind = tag->substr(0, tag->find(':'));
  if (kind != "F" && kind != "P") return std::nullopt;
  return LogEntry{*time, *stream == "stderr", kind == "P", line};
}

Result<std::optional<off_t>> LogTail::search(int fd) {
  constexpr off_t kBlock = 64L * 1024;
  struct stat info{};
  if (::fstat(fd, &info) < 0) return errnoStatus(errno, "cannot read the log");
  // `text` is the file from `start` to the end of the last whole entry that is not examined yet.
  off_t start = info.st_size;
  std::string text;
  for (bool torn = true;;) {
    const auto end = text.rfind('\n');
    const auto previous =
        end == std::string::npos || end == 0 ? std::string::npos : text.rfind('\n', end - 1);
    if (torn && end != std::string::npos) {
      // What follows the last end of line is still being written.
      text.resize(end + 1);
      torn = false;
      continue;
    }
    if (torn || (previous == std::string::npos && start > 0)) {
      if (start == 0) return std::optional<off_t>();
      const auto size = std::min(start, kBlock);
      std::string block(size, '\0');
      if (::pread(fd, block.data(), size, start - size) != size)
        return errnoStatus(errno, "cannot read the log");
      start -= size;
      text.insert(0, block);
      continue;
    }
    if (text.empty()) return std::optional<off_t>();
    const std::size_t begin = previous == std::string::npos ? 0 : previous + 1;
    const auto entry = parseLogEntry(std::string_view(text).substr(begin, end - begin));
    if (entry && (!entry->partial || last_)) {
      if (found_ == wanted_) return std::optional<off_t>(start + static_cast<off_t>(text.size()));
      ++found_;
    }
    if (entry) last_ = false;
    text.resize(begin);
  }
}

}  // namespace podlab::node
