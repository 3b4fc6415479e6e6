#include "node/container_log_writer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>
#include <utility>

#include "common/filesystem.hpp"
#include "node/container_log_files.hpp"

namespace podlab::node {
namespace {

constexpr std::size_t kDotAt = 19;  // in "2023-11-14T22:13:20.000000000Z stdout F "
constexpr std::size_t kStreamAt = 31;
constexpr std::size_t kTagAt = 38;
constexpr std::size_t kHead = 40;  // up to the content
constexpr std::size_t kMaxContent = 64UL * 1024;
constexpr std::size_t kBuffer = 2 * kMaxContent;

UniqueFd openFile(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
}

/// The bytes of output in `entries` that lie behind its first `written` bytes.
std::uint64_t contentBehind(std::string_view entries, std::size_t written) {
  std::uint64_t lost = 0;
  for (std::size_t begin = 0; begin < entries.size();) {
    const std::size_t end = std::min(entries.find('\n', begin), entries.size());
    const std::size_t from = std::max(begin + kHead, written);
    // The end of a line is output too where the entry is not a part.
    if (from <= end) lost += end - from + (entries[begin + kTagAt] == 'F' ? 1 : 0);
    begin = end + 1;
  }
  return lost;
}

/// The tag of the last entry whose head is whole in `entries`, the last of which may be torn.
std::optional<char> lastTag(std::string_view entries) {
  while (!entries.empty()) {
    const auto end =
        entries.size() < 2 ? std::string_view::npos : entries.rfind('\n', entries.size() - 2);
    const std::size_t begin = end == std::string_view::npos ? 0 : end + 1;
    if (entries.size() - begin >= kHead) return entries[begin + kTagAt];
    entries = entries.substr(0, begin);
  }
  return std::nullopt;
}

}  // namespace

Status ContainerLogWriter::open(const std::string& path, LogLimits limits) {
  path_ = path;
  limits_ = {limits.maxFileBytes, std::max<std::uint64_t>(limits.maxFiles, 2)};
  file_ = openFile(path);
  if (!file_) return errnoStatus(errno, "cannot write the log " + path);
  struct stat info{};
  if (::fstat(file_.get(), &info) == 0) size_ = static_cast<std::uint64_t>(info.st_size);
  buffer_ = std::make_unique_for_overwrite<char[]>(kBuffer);
  return {};
}

void ContainerLogWriter::write(bool isStderr, std::string_view data, WallTime now) {
  setHead(isStderr, now);
  while (!data.empty()) {
    const std::string_view piece = data.substr(0, kMaxContent);
    const auto end = piece.find('\n');
    addEntry(piece.substr(0, end), end == std::string_view::npos);
    data.remove_prefix(end == std::string_view::npos ? piece.size() : end + 1);
  }
  flush();
}

void ContainerLogWriter::finish(WallTime now) {
  setHead(true, now);
  (void)makeGood();
}

void ContainerLogWriter::setHead(bool isStderr, WallTime now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  const std::time_t whole = seconds.time_since_epoch().count();
  if (whole != headSecond_) {
    std::tm parts{};
    ::gmtime_r(&whole, &parts);
    std::array<char, 48> text;
    ::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S.000000000Z stdout F ", &parts);
    std::memcpy(head_.data(), text.data(), head_.size());
    headSecond_ = whole;
  }
  auto fraction = (now - seconds).count();
  for (std::size_t at = kDotAt + 9; at > kDotAt; --at, fraction /= 10)
    head_[at] = static_cast<char>('0' + fraction % 10);
  std::memcpy(head_.data() + kStreamAt, isStderr ? "stderr" : "stdout", 6);
}

void ContainerLogWriter::addEntry(std::string_view content, bool partial) {
  if (used_ + kHead + content.size() + 1 > kBuffer) flush();
  char* to = buffer_.get() + used_;
  std::memcpy(to, head_.data(), kHead);
  to[kTagAt] = partial ? 'P' : 'F';
  std::memcpy(to + kHead, content.data(), content.size());
  to[kHead + content.size()] = '\n';
  used_ += kHead + content.size() + 1;
}

void ContainerLogWriter::flush() {
  const std::string_view entries(buffer_.get(), std::exchange(used_, 0));
  if (entries.empty()) return;
  if (size_ > 0 && size_ + entries.size() > limits_.maxFileBytes) rotate();
  std::size_t written = 0;
  if (!makeGood() || !writeAll(entries, written)) lost_ += contentBehind(entries, written);
  if (const auto tag = lastTag(entries.substr(0, written))) lineOpen_ = *tag == 'P';
}

bool ContainerLogWriter::makeGood() {
  std::size_t written = 0;
  if (torn_) {
    if (!writeAll("\n", written)) return false;
    torn_ = false;
  }
  if (lost_ == 0) return true;
  std::string head(head_.data(), kHead);
  head.replace(kStreamAt, 6, "stderr");
  std::string notice = lineOpen_ ? head + "\n" : "";
  notice += head + "podlab: " + std::to_string(lost_) +
            " bytes of output are missing here: " + std::strerror(error_) + "\n";
  written = 0;
  if (!writeAll(notice, written)) return false;
  lost_ = 0;
  error_ = 0;
  lineOpen_ = false;
  return true;
}

bool ContainerLogWriter::writeAll(std::string_view text, std::size_t& written) {
  while (written < text.size()) {
    const ssize_t n = ::write(file_.get(), text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (error_ == 0) error_ = errno;
      torn_ = torn_ || (written > 0 && text[written - 1] != '\n');
      return false;
    }
    written += static_cast<std::size_t>(n);
    size_ += static_cast<std::uint64_t>(n);
  }
  return true;
}

void ContainerLogWriter::rotate() {
  UniqueFd next = openFile(logFileName(path_, number_ + 1));
  if (!next) return;  // goes on in this one, and tries again with the next output
  // Readers of the full file wake when it is closed, and find the next one.
  file_ = std::move(next);
  ++number_;
  size_ = 0;
  torn_ = false;
  if (number_ >= limits_.maxFiles) ::unlink(logFileName(path_, number_ - limits_.maxFiles).c_str());
}

}  // namespace podlab::node
