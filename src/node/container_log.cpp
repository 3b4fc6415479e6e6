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

#include "common/filesystem.hpp"
#include "common/unique_fd.hpp"
#include "node/container_log_entry.hpp"
#include "node/container_log_files.hpp"

namespace podlab::node {
namespace {

constexpr std::size_t kBlock = 64UL * 1024;

/// One file of a log.
struct LogFile {
  std::uint64_t number = 0;
  UniqueFd file;
};

LogFile openLogFile(const std::string& path, std::uint64_t number) {
  return {number, UniqueFd(::open(logFileName(path, number).c_str(), O_RDONLY | O_CLOEXEC))};
}

std::vector<std::uint64_t> presentFiles(const std::string& path) {
  auto names = makeRealFilesystem()->listDirectory(path.substr(0, path.rfind('/')));
  return names ? logFileNumbers(path, *names) : std::vector<std::uint64_t>();
}

/// Turns the files' bytes into text.
class Formatter {
 public:
  explicit Formatter(const LogOptions& options) : options_(options) {}

  /// Appends the text of what became complete with `raw`.
  void feed(std::string_view raw, LogText& text) {
    while (!raw.empty() && !full()) {
      const auto end = raw.find('\n');
      if (end == std::string_view::npos) break;
      std::string_view line = raw.substr(0, end);
      if (!pending_.empty()) line = pending_.append(line);
      if (const auto entry = parseLogEntry(line)) format(*entry, text);
      pending_.clear();
      raw.remove_prefix(end + 1);
    }
    pending_ += raw;
  }
  /// The next text is from another file. An entry that the last one holds in part stays so.
  void startFile(LogText& text) {
    if (!pending_.empty()) feed("\n", text);
  }
  /// Says that `files` were removed unread.
  void skip(std::uint64_t files, LogText& text) {
    auto& to = options_.separateStderr ? text.stderrText : text.text;
    if (!lineStart_) to += '\n';
    to += "podlab: output is missing here: " + std::to_string(files) +
          " full log file(s) were removed before they were read\n";
    lineStart_ = true;
  }
  bool full() const { return options_.limitBytes && written_ >= *options_.limitBytes; }

 private:
  void format(const LogEntry& entry, LogText& out) {
    if (options_.since) {
      const auto time = parseTime(entry.time);
      if (!time || *time < *options_.since) return;
      options_.since.reset();  // the log is in order
    }
    auto& text = options_.separateStderr && entry.isStderr ? out.stderrText : out.text;
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
  FileLogReader(const asio::any_io_executor& executor, std::string path, LogFile first,
                UniqueFd changes, off_t offset, const LogOptions& options)
      : path_(std::move(path)),
        current_(std::move(first)),
        changes_(executor),
        offset_(offset),
        formatter_(options) {
    if (changes) changes_.assign(changes.release());
  }

  /// Wakes for changes of the current file: writes, and its end. errno when it cannot.
  int watch() {
    if (!changes_.is_open()) return 0;
    if (watch_ >= 0) ::inotify_rm_watch(changes_.native_handle(), watch_);
    watch_ =
        ::inotify_add_watch(changes_.native_handle(), logFileName(path_, current_.number).c_str(),
                            IN_MODIFY | IN_CLOSE_WRITE);
    // A file that is gone already has a successor, which is found before the first wait.
    return watch_ < 0 && errno != ENOENT ? errno : 0;
  }

  Co<Result<LogText>> read() override {
    while (!formatter_.full()) {
      // Before the read, so that what is written after it wakes the wait.
      const bool last = finished_ || !changes_.is_open();
      LogText text;
      auto more = advance(text);
      if (!more) co_return more.status();
      if (!text.empty()) co_return text;
      if (*more) continue;
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
  /// Reads a block, or takes a step to the next file; false when there is nothing more at present.
  Result<bool> advance(LogText& text) {
    std::array<char, kBlock> block;
    const ssize_t n = ::pread(current_.file.get(), block.data(), block.size(), offset_);
    if (n < 0) return errnoStatus(errno, "cannot read the log");
    offset_ += n;
    if (n > 0) {
      formatter_.feed(std::string_view(block.data(), n), text);
      return true;
    }
    if (!next_.file) {
      // What was written before the next file was begun is read before it.
      next_ = findNext();
      return static_cast<bool>(next_.file);
    }
    formatter_.startFile(text);
    if (next_.number > current_.number + 1)
      formatter_.skip(next_.number - current_.number - 1, text);
    current_ = std::exchange(next_, {});
    offset_ = 0;
    (void)watch();
    return true;
  }

  LogFile findNext() const {
    LogFile next = openLogFile(path_, current_.number + 1);
    struct stat info{};
    // The oldest file is removed first: when this one is there, the next is not yet.
    if (next.file || (::fstat(current_.file.get(), &info) == 0 && info.st_nlink > 0)) return next;
    for (const auto number : presentFiles(path_)) {
      if (number <= current_.number) continue;
      next = openLogFile(path_, number);
      if (next.file) return next;
    }
    return {};
  }

  std::string path_;
  LogFile current_;
  LogFile next_;                            ///< once it was found
  asio::posix::stream_descriptor changes_;  ///< inotify, with follow
  int watch_ = -1;
  std::array<char, 1024> events_;
  off_t offset_;
  Formatter formatter_;
  bool finished_ = false;
};

/// Where the text begins: a file and an offset in it.
Result<std::pair<LogFile, off_t>> findStart(const std::string& path, const LogOptions& options) {
  auto numbers = presentFiles(path);
  LogFile oldest;
  if (!options.tailLines) {
    for (auto number = numbers.begin(); number != numbers.end() && !oldest.file; ++number)
      oldest = openLogFile(path, *number);
    if (!oldest.file) return Status(Code::kNotFound, "there is no log " + path);
    return std::pair(std::move(oldest), off_t{0});
  }
  LogTail tail(std::max<std::int64_t>(*options.tailLines, 0));
  for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
    LogFile file = openLogFile(path, *number);
    if (!file.file) break;  // removed meanwhile, with all before it
    auto offset = tail.search(file.file.get());
    if (!offset) return offset.status();
    if (*offset) return std::pair(std::move(file), **offset);
    oldest = std::move(file);
  }
  if (!oldest.file) return Status(Code::kNotFound, "there is no log " + path);
  return std::pair(std::move(oldest), off_t{0});
}

}  // namespace

Result<std::unique_ptr<ContainerLogReader>> openContainerLog(asio::any_io_executor executor,
                                                             const std::string& path,
                                                             LogOptions options) {
  UniqueFd changes;
  if (options.follow) {
    changes.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!changes && errno == EMFILE) {
      return Status(
          Code::kExhausted,
          "no inotify instance left to follow the log: raise fs.inotify.max_user_instances");
    }
    if (!changes) return errnoStatus(errno, "cannot follow the log " + path);
  }
  auto start = findStart(path, options);
  if (!start) return start.status();
  auto reader = std::make_unique<FileLogReader>(executor, path, std::move(start->first),
                                                std::move(changes), start->second, options);
  if (const int error = reader->watch(); error != 0)
    return errnoStatus(error, "cannot follow the log " + path);
  return std::unique_ptr<ContainerLogReader>(std::move(reader));
}

}  // namespace podlab::node
