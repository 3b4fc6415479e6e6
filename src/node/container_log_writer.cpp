#include "node/container_log_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>

namespace podlab::node {

std::string formatNanoTime(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const std::time_t whole = seconds.time_since_epoch().count();
  std::tm parts{};
  ::gmtime_r(&whole, &parts);
  std::array<char, 40> text;
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 16> fraction;
  std::snprintf(fraction.data(), fraction.size(), ".%09lldZ",
                static_cast<long long>((time - seconds).count()));
  return std::string(text.data(), length) + fraction.data();
}

Status ContainerLogWriter::open(const std::string& path) {
  file_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!file_) return errnoStatus(errno, "cannot write the log " + path);
  return {};
}

void ContainerLogWriter::write(bool isStderr, std::string_view data, WallTime now) {
  const std::string head = formatNanoTime(now) + (isStderr ? " stderr " : " stdout ");
  buffer_.assign(torn_ ? "\n" : "");
  while (!data.empty()) {
    const auto end = data.find('\n');
    buffer_ += head;
    buffer_ += end == std::string_view::npos ? "P " : "F ";
    buffer_ += data.substr(0, end);
    buffer_ += '\n';
    data.remove_prefix(end == std::string_view::npos ? data.size() : end + 1);
  }
  for (std::string_view left = buffer_; !left.empty();) {
    const ssize_t n = ::write(file_.get(), left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      torn_ = torn_ || left.size() < buffer_.size();
      return;
    }
    left.remove_prefix(n);
  }
  torn_ = false;
}

}  // namespace podlab::node
