#include "node/shim_state.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <sstream>

#include "common/unique_fd.hpp"

namespace podlab::node {
namespace {

/// A short file of /proc; empty when it cannot be read.
std::string readProc(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> buffer;
  const ssize_t n = file ? ::read(file.get(), buffer.data(), buffer.size()) : -1;
  return n > 0 ? std::string(buffer.data(), n) : std::string();
}

const std::string& bootId() {
  static const std::string id = [] {
    std::string text = readProc("/proc/sys/kernel/random/boot_id");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text.empty() ? std::string("unknown") : text;
  }();
  return id;
}

struct Stat {
  char state = 0;
  std::uint64_t startTicks = 0;
};

std::optional<Stat> readStat(int pid) {
  const std::string text = readProc("/proc/" + std::to_string(pid) + "/stat");
  // The second field is the program's name in parentheses, which may itself hold ") ".
  const auto end = text.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(end + 1));
  Stat stat;
  fields >> stat.state;
  std::string skipped;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  fields >> stat.startTicks;
  if (!fields) return std::nullopt;
  return stat;
}

std::int64_t toNanoseconds(WallTime time) {
  return time.time_since_epoch().count();
}
WallTime fromNanoseconds(std::int64_t ns) {
  return WallTime(Duration(ns));
}

std::istream& operator>>(std::istream& in, ProcessIdentity& process) {
  return in >> process.pid >> process.startTicks >> process.boot;
}

}  // namespace

std::optional<ProcessIdentity> identifyProcess(int pid) {
  const auto stat = readStat(pid);
  if (!stat) return std::nullopt;
  return ProcessIdentity{pid, stat->startTicks, bootId()};
}

bool isAlive(const ProcessIdentity& process) {
  if (process.boot != bootId()) return false;
  const auto stat = readStat(process.pid);
  return stat && stat->startTicks == process.startTicks && stat->state != 'Z' && stat->state != 'X';
}

Status signalProcess(const ProcessIdentity& process, int signal) {
  // First the descriptor, then the check: the descriptor stays with the process it was opened for.
  const std::string what = "cannot signal process " + std::to_string(process.pid);
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (!pidfd && errno != ESRCH) return errnoStatus(errno, what);
  if (!pidfd || !isAlive(process)) return Status(Code::kNotFound, what + ": it does not run");
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) < 0)
    return errnoStatus(errno, what);
  return {};
}

std::string formatIdentity(const ProcessIdentity& process) {
  return std::to_string(process.pid) + " " + std::to_string(process.startTicks) + " " +
         process.boot;
}

std::optional<ProcessIdentity> parseIdentity(const std::string& text) {
  std::istringstream in(text);
  ProcessIdentity process;
  if (!(in >> process) || process.pid <= 0) return std::nullopt;
  return process;
}

std::string formatRunning(const RunningRecord& record) {
  return formatIdentity(record.shim) + " " + formatIdentity(record.init) + " " +
         std::to_string(toNanoseconds(record.startedAt)) + "\n";
}

std::optional<RunningRecord> parseRunning(const std::string& text) {
  std::istringstream in(text);
  RunningRecord record;
  std::int64_t started = 0;
  if (!(in >> record.shim >> record.init >> started)) return std::nullopt;
  record.startedAt = fromNanoseconds(started);
  return record;
}

std::string formatExit(const ExitRecord& record) {
  return std::to_string(record.code) + " " + std::to_string(record.signal) + " " +
         std::to_string(toNanoseconds(record.finishedAt)) + "\n";
}

std::optional<ExitRecord> parseExit(const std::string& text) {
  std::istringstream in(text);
  ExitRecord record;
  std::int64_t finished = 0;
  if (!(in >> record.code >> record.signal >> finished)) return std::nullopt;
  record.finishedAt = fromNanoseconds(finished);
  return record;
}

}  // namespace podlab::node
