#include "node/container_log.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include <asio.hpp>

#include "common/unique_fd.hpp"

namespace podlab::node {
namespace {

constexpr std::size_t kBlock = 64UL * 1024;

/// One line of the file.
struct Entry {
  std::string_view time;
  bool partial = false;
  std::string_view content;
};

std::optional<Entry> parseEntry(std::string_view line) {
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
  return Entry{*time, kind == "P", line};
}

/// Where the last `count` lines begin; a line is what ends in an entry that is not partial, and
/// what is left after the last such. Reads backwards.
Result<off_t> findTail(int fd, std::int64_t count) {
  struct stat info{};
  if (::fstat(fd, &info) < 0) return errnoStatus(errno, "cannot read the log");
  // `text` is the file from `start` to the end of the last whole entry that is not examined yet.
  off_t start = info.st_size;
  std::string text;
  std::int64_t lines = 0;
  bool last = true;
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
      if (start == 0) return 0;
      const auto size = std::min<off_t>(start, kBlock);
      std::string block(size, '\0');
      if (::pread(fd, block.data(), size, start - size) != size)
        return errnoStatus(errno, "cannot read the log");
      start -= size;
      text.insert(0, block);
      continue;
    }
    const std::size_t begin = previous == std::string::npos ? 0 : previous + 1;
    if (text.empty()) return start;
    const auto entry = parseEntry(std::string_view(text).substr(begin, end - begin));
    if (entry && (!entry->partial || last)) {
      if (lines == count) return start + static_cast<off_t>(text.size());
      ++lines;
    }
    if (entry) last = false;
    text.resize(begin);
  }
}

/// Turns the file's bytes into text.
class Formatter {
 public:
  explicit Formatter(const LogOptions& options) : options_(options) {}

  /// Appends the text of what became complete with `raw`.
  void feed(std::string_view raw, std::string& text) {
    pending_ += raw;
    std::size_t begin = 0;
    for (std::size_t end = pending_.find('\n'); end != std::string::npos && !full();
         end = pending_.find('\n', begin)) {
      const std::string_view line(pending_.data() + begin, end - begin);
      if (const auto entry = parseEntry(line)) format(*entry, text);
      begin = end + 1;
    }
    pending_.erase(0, begin);
  }
  bool full() const { return options_.limitBytes && written_ >= *options_.limitBytes; }

 private:
  void format(const Entry& entry, std::string& text) {
    if (options_.since) {
      const auto time = parseTime(entry.time);
      if (!time || *time < *options_.since) return;
      options_.since.reset();  // the log is in order
    }
    const std::size_t before = text.size();
    if (options_.timestamps && lineStart_) text.append(entry.time).push_back(' ');
    text += entry.content;
    if (!entry.partial) text.push_back('\n');
    lineStart_ = !entry.partial;
    written_ += static_cast<std::int64_t>(text.size() - before);
    if (full()) text.resize(text.size() - (written_ - *options_.limitBytes));
  }

  LogOptions options_;
  std::string pending_;
  bool lineStart_ = true;
  std::int64_t written_ = 0;
};

class FileLogReader final : public ContainerLogReader {
 public:
  FileLogReader(const asio::any_io_executor& executor, UniqueFd file, UniqueFd changes,
                off_t offset, const LogOptions& options)
      : file_(std::move(file)), changes_(executor), offset_(offset), formatter_(options) {
    if (changes) changes_.assign(changes.release());
  }

  Co<Result<std::string>> read() override {
    while (!formatter_.full()) {
      // Before the read, so that what is written after it wakes the wait.
      const bool last = finished_ || !changes_.is_open();
      std::string text;
      const ssize_t n = readSome(text);
      if (n < 0) co_return errnoStatus(errno, "cannot read the log");
      if (!text.empty()) co_return text;
      if (n > 0) continue;
      if (last) break;
      asio::error_code woken;
      co_await changes_.async_read_some(asio::buffer(events_),
                                        asio::redirect_error(asio::use_awaitable, woken));
    }
    co_return Status(Code::kEndOfStream, "end of log");
  }

  void finish() override {
    finished_ = true;
    if (changes_.is_open()) changes_.cancel();
  }

 private:
  ssize_t readSome(std::string& text) {
    std::array<char, kBlock> block;
    const ssize_t n = ::pread(file_.get(), block.data(), block.size(), offset_);
    if (n <= 0) return n;
    offset_ += n;
    formatter_.feed(std::string_view(block.data(), n), text);
    return n;
  }

  UniqueFd file_;
  asio::posix::stream_descriptor changes_;  ///< inotify, with follow
  std::array<char, 1024> events_;
  off_t offset_;
  Formatter formatter_;
  bool finished_ = false;
};

}  // namespace

Result<std::unique_ptr<ContainerLogReader>> openContainerLog(asio::any_io_executor executor,
                                                             const std::string& path,
                                                             LogOptions options) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errnoStatus(errno, "cannot read the log " + path);
  UniqueFd changes;
  if (options.follow) {
    changes.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!changes && errno == EMFILE) {
      return Status(
          Code::kExhausted,
          "no inotify instance left to follow the log: raise fs.inotify.max_user_instances");
    }
    if (!changes || ::inotify_add_watch(changes.get(), path.c_str(), IN_MODIFY) < 0)
      return errnoStatus(errno, "cannot follow the log " + path);
  }
  off_t offset = 0;
  if (options.tailLines) {
    auto tail = findTail(file.get(), std::max<std::int64_t>(*options.tailLines, 0));
    if (!tail) return tail.status();
    offset = *tail;
  }
  return std::unique_ptr<ContainerLogReader>(std::make_unique<FileLogReader>(
      executor, std::move(file), std::move(changes), offset, options));
}

}  // namespace podlab::node
