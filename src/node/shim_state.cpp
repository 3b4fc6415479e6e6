#include "node/shim_state.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <sstream>

#include "common/spawn.hpp"
#include "common/unique_fd.hpp"

namespace podlab::node {
namespace {

/// A short file of /proc; kNotFound also when its process ends while it is read.
Result<std::string> readProc(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> buffer;
  const ssize_t n = file ? ::read(file.get(), buffer.data(), buffer.size()) : -1;
  if (n < 0) return errnoStatus(errno == ESRCH ? ENOENT : errno, "cannot read " + path);
  return std::string(buffer.data(), n);
}

/// Read once: it is a process's own for life.
Result<std::string> bootId() {
  static std::string known;
  if (known.empty()) {
    auto text = readProc("/proc/sys/kernel/random/boot_id");
    if (!text) return text.status();
    known = text->substr(0, text->find('\n'));
  }
  return known;
}

struct Stat {
  char state = 0;
  std::uint64_t startTicks = 0;
};

Result<Stat> readStat(int pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const auto text = readProc(path);
  if (!text) return text.status();
  // The second field is the program's name in parentheses, which may itself hold ") ".
  const Status malformed(Code::kInternal, "malformed " + path);
  const auto end = text->rfind(')');
  if (end == std::string::npos) return malformed;
  std::istringstream fields(text->substr(end + 1));
  Stat stat;
  fields >> stat.state;
  std::string skipped;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  fields >> stat.startTicks;
  if (!fields) return malformed;
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
  const auto boot = bootId();
  if (!stat || !boot) return std::nullopt;
  return ProcessIdentity{pid, stat->startTicks, *boot};
}

Liveness livenessOf(const ProcessIdentity& process) {
  const auto boot = bootId();
  if (!boot) return Liveness::kUnknown;
  if (process.boot != *boot) return Liveness::kGone;
  const auto stat = readStat(process.pid);
  if (!stat && !stat.status().is(Code::kNotFound)) return Liveness::kUnknown;
  const bool alive =
      stat && stat->startTicks == process.startTicks && stat->state != 'Z' && stat->state != 'X';
  return alive ? Liveness::kAlive : Liveness::kGone;
}

Status signalProcess(const ProcessIdentity& process, int signal) {
  // First the descriptor, then the check: the descriptor stays with the process it was opened for.
  const std::string what = "cannot signal process " + std::to_string(process.pid);
  const UniqueFd pidfd = openPidfd(process.pid);
  if (!pidfd && errno != ESRCH) return errnoStatus(errno, what);
  const Liveness found = pidfd ? livenessOf(process) : Liveness::kGone;
  if (found == Liveness::kGone) return Status(Code::kNotFound, what + ": it does not run");
  if (found == Liveness::kUnknown)
    return Status(Code::kExhausted, what + ": it cannot be told from another with its number");
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
         std::to_string(toNanoseconds(record.finishedAt)) + (record.oomKilled ? " oom\n" : "\n");
}

std::optional<ExitRecord> parseExit(const std::string& text) {
  std::istringstream in(text);
  ExitRecord record;
  std::int64_t finished = 0;
  if (!(in >> record.code >> record.signal >> finished)) return std::nullopt;
  record.finishedAt = fromNanoseconds(finished);
  std::string mark;
  record.oomKilled = (in >> mark) && mark == "oom";
  return record;
}

}  // namespace podlab::node
