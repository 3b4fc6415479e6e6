#include "node/termination_message.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "node/container_log_entry.hpp"
#include "node/container_log_files.hpp"

namespace podlab::node {
namespace {

constexpr std::size_t kMaxFile = 4096;
constexpr std::size_t kMaxLog = 2048;
constexpr std::size_t kMaxLogLines = 80;
constexpr std::size_t kMaxPod = 12 << 10;
/// Enough of a log for kMaxLogLines entries that hold kMaxLog bytes in all, with their heads.
constexpr std::size_t kLogBlock = 32 << 10;

/// The length of the UTF-8 sequence at the beginning of `text`; 0 when there is none.
std::size_t sequenceLength(std::string_view text) {
  const auto byte = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return 1;
  const std::size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xf0 && byte(1) < 0x90);
  const bool outside = (byte(0) == 0xed && byte(1) > 0x9f) || (byte(0) == 0xf4 && byte(1) > 0x8f);
  return overlong || outside ? 0 : length;
}

/// `text` with U+FFFD for what is not UTF-8, at most `limit` bytes.
std::string validUtf8(std::string_view text, std::size_t limit) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::string out;
  while (!text.empty()) {
    const std::size_t length = sequenceLength(text);
    const std::string_view next = length == 0 ? kReplacement : text.substr(0, length);
    if (out.size() + next.size() > limit) break;
    out += next;
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

/// The last lines of what the container wrote.
std::string endOfLog(std::string_view block) {
  std::vector<std::string> lines(1);
  while (!block.empty()) {
    const auto end = block.find('\n');
    if (end == std::string_view::npos) break;  // still being written
    const auto entry = parseLogEntry(block.substr(0, end));
    block.remove_prefix(end + 1);
    // The block may begin within an entry.
    if (!entry) continue;
    lines.back() += entry->content;
    if (!entry->partial) {
      lines.back() += '\n';
      lines.emplace_back();
    }
  }
  if (lines.back().empty()) lines.pop_back();
  std::string text;
  const std::size_t first = lines.size() - std::min(lines.size(), kMaxLogLines);
  for (std::size_t i = first; i < lines.size(); ++i) text += lines[i];
  return text.size() > kMaxLog ? text.substr(text.size() - kMaxLog) : text;
}

/// The end of a log's newest file, and of the one before it when that is short.
std::string readLogTail(Filesystem& files, const std::string& log) {
  auto names = files.listDirectory(log.substr(0, log.rfind('/')));
  if (!names.ok()) return "";
  auto numbers = logFileNumbers(log, *names);
  std::string block;
  for (; !numbers.empty() && block.size() < kLogBlock; numbers.pop_back()) {
    block.insert(
        0, files.readTail(logFileName(log, numbers.back()), kLogBlock - block.size()).valueOr(""));
  }
  return block;
}

}  // namespace

std::string terminationMessage(Filesystem& files, const corev1::Container& container, int exitCode,
                               const std::string& messageFile, const std::string& log,
                               std::size_t limit) {
  std::string message;
  if (!container.terminationmessagepath().empty()) {
    auto content = files.readTail(messageFile, kMaxFile);
    if (content.ok()) {
      message = *std::move(content);
    } else if (!content.status().is(Code::kNotFound)) {
      message =
          "Error on reading termination log " + messageFile + ": " + content.status().message();
    }
  }
  const bool toLogs = container.terminationmessagepolicy() == "FallbackToLogsOnError";
  if (message.empty() && toLogs && exitCode != 0) message = endOfLog(readLogTail(files, log));
  return validUtf8(message, limit);
}

std::size_t terminationMessageLimit(std::size_t containers) {
  return kMaxPod / std::max<std::size_t>(containers, 1);
}

}  // namespace podlab::node
