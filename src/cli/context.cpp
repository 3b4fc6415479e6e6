#include "cli/context.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "api/status_conversion.hpp"
#include "common/filesystem.hpp"

namespace podlab::cli {
namespace {

bool dumbTerminal() {
  const char* term = std::getenv("TERM");
  return !term || std::string_view(term) == "dumb";
}

}  // namespace

std::string nameFlag(const Context& context) {
  return context.lab == "default" ? "" : " --name " + context.lab;
}

Result<lab::LabPaths> existingLab(const Context& context) {
  auto paths = lab::labPaths(context.lab);
  if (!paths) return paths.status();
  if (makeRealFilesystem()->exists(paths->clusterFile())) return paths;
  return Status(Code::kNotFound, "there is no lab \"" + context.lab +
                                     "\"; create it with: podlab up" + nameFlag(context));
}

int fail(const Status& status) {
  std::fprintf(stderr, "error: %s\n", status.message().c_str());
  // One cause is in the message already.
  if (status.causes().size() > 1) {
    for (const auto& cause : status.causes())
      std::fprintf(stderr, "* %s: %s\n", cause.field.c_str(), cause.message.c_str());
  }
  return status.is(Code::kHostUnsupported) ? kHostLacks : kFailed;
}

int failRequest(const Status& status, const std::string& doing) {
  const std::string& message = status.message();
  if (status.is(Code::kInvalid)) {
    // "Pod "x" is invalid: ...", from whichever file it came.
    constexpr std::string_view kVerdict = " is invalid";
    const auto end = message.find(kVerdict);
    if (end == std::string::npos || status.causes().size() < 2) {
      std::fprintf(stderr, "The %s\n", message.c_str());
      return kFailed;
    }
    std::fprintf(stderr, "The %s: \n", message.substr(0, end + kVerdict.size()).c_str());
    for (const auto& cause : status.causes())
      std::fprintf(stderr, "* %s: %s\n", cause.field.c_str(), cause.message.c_str());
    return kFailed;
  }
  // What is no verdict on the request (4xx) is about the server's host or the way to it.
  if (api::httpStatusOf(status.code()) / 100 != 4)
    return fail(Status(status.code(), doing + message, status.causes()));
  std::fprintf(stderr, "Error from server (%s): %s%s\n",
               std::string(codeName(status.code())).c_str(), doing.c_str(), message.c_str());
  return kFailed;
}

int failUsage(const std::string& message) {
  std::fprintf(stderr, "error: %s\nRun it with --help for usage.\n", message.c_str());
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
