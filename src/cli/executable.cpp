#include "cli/executable.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>

namespace podlab::cli {

Result<std::string> executablePath() {
  char path[4096];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n < 0) return errnoStatus(errno, "cannot read /proc/self/exe");
  std::string text(path, static_cast<std::size_t>(n));
  constexpr std::string_view kDeleted = " (deleted)";
  if (text.ends_with(kDeleted))
    return Status(Code::kNotFound,
                  text + ": the program was replaced while it ran; start it again");
  return text;
}

std::vector<std::string> splitList(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = std::min(text.find(separator, start), text.size());
    parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

std::string lastLineOf(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return std::string(text.substr(text.rfind('\n') + 1));
}

std::string versionText() {
  return PODLAB_VERSION;
}

}  // namespace podlab::cli
