#include "cli/context.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace podlab::cli {
namespace {

bool dumbTerminal() {
  const char* term = std::getenv("TERM");
  return !term || std::string_view(term) == "dumb";
}

}  // namespace

int fail(const Status& status) {
  std::fprintf(stderr, "error: %s\n", status.message().c_str());
  // One cause is in the message already.
  if (status.causes().size() > 1) {
    for (const auto& cause : status.causes())
      std::fprintf(stderr, "* %s: %s\n", cause.field.c_str(), cause.message.c_str());
  }
  return status.is(Code::kHostUnsupported) ? kHostLacks : kFailed;
}

int failUsage(const std::string& message) {
  std::fprintf(stderr, "error: %s\nRun podlab with --help for usage.\n", message.c_str());
  return kUsage;
}

void say(const Context& context, const std::string& line) {
  if (!context.quiet) std::fprintf(stderr, "%s\n", line.c_str());
}

Progress::Progress(const Context& context)
    : quiet_(context.quiet), terminal_(::isatty(STDERR_FILENO) && !dumbTerminal()) {}

Progress::~Progress() {
  if (!quiet_ && terminal_ && !shown_.empty()) std::fputs("\r\033[K", stderr);
}

void Progress::show(const std::string& what) {
  if (quiet_ || what == shown_) return;
  shown_ = what;
  if (terminal_) {
    const int width = terminalWidth(STDERR_FILENO);
    std::fprintf(stderr, "\r\033[K%.*s", width > 1 ? width - 1 : 200, what.c_str());
    std::fflush(stderr);
  } else {
    std::fprintf(stderr, "%s\n", what.c_str());
  }
}

void Progress::done(const std::string& what) {
  if (quiet_) return;
  std::fprintf(stderr, "%s%s\n", terminal_ && !shown_.empty() ? "\r\033[K" : "", what.c_str());
  shown_.clear();
}

bool useColor(int fd) {
  const char* none = std::getenv("NO_COLOR");
  return ::isatty(fd) && !(none && *none) && !dumbTerminal();
}

int terminalWidth(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace podlab::cli
