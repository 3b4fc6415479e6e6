#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>

#include "cli/doctor.hpp"
#include "common/spawn.hpp"
#include "lab/mounts.hpp"
#include "lab/underlay.hpp"
#include "net/link.hpp"
#include "net/namespaces.hpp"
#include "net/nft_kernel.hpp"
#include "node/overlay.hpp"

namespace podlab::cli {
namespace {

/// Runs `body` in a child process, whose namespaces end with it, and returns what it wrote to the
/// descriptor.
std::string inChild(const std::function<void(int)>& body) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return "";
  UniqueFd read(ends[0]), write(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    body(write.get());
    ::_exit(0);
  }
  write.reset();
  std::string text;
  std::array<char, 4096> buffer;
  ssize_t n;
  while ((n = ::read(read.get(), buffer.data(), buffer.size())) > 0 || (n < 0 && errno == EINTR)) {
    if (n > 0) text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  if (child > 0) ::waitpid(child, nullptr, 0);
  return text;
}

/// One line a trial: its name, a tab, the error.
void report(int fd, const char* trial, const Status& status) {
  const std::string line = std::string(trial) + "\t" + status.message() + "\n";
  [[maybe_unused]] const auto n = ::write(fd, line.data(), line.size());
}

Status failed(const char* what) {
  return errnoStatus(errno, what);
}

Status writeProc(const char* path, const std::string& text) {
  const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text.data(), text.size()) < 0) return failed(path);
  return {};
}

/// A user namespace whose root is the caller.
Status enterUserNamespace() {
  const std::string user = "0 " + std::to_string(::geteuid()) + " 1\n";
  const std::string group = "0 " + std::to_string(::getegid()) + " 1\n";
  if (::unshare(CLONE_NEWUSER) < 0) return failed("unshare");
  if (Status status = writeProc("/proc/self/setgroups", "deny"); !status) return status;
  if (Status status = writeProc("/proc/self/uid_map", user); !status) return status;
  return writeProc("/proc/self/gid_map", group);
}

/// /proc of a PID namespace in a PID namespace, as nodes have it in a lab.
Status tryNestedProc(int levels) {
  if (::unshare(CLONE_NEWPID | CLONE_NEWNS) < 0) return failed("unshare");
  const std::string error = inChild([levels](int fd) {
    Status status = lab::makeMountsPrivate();
    if (status) status = lab::mountProc();
    if (status && levels > 1) status = tryNestedProc(levels - 1);
    [[maybe_unused]] const auto n = ::write(fd, status.message().data(), status.message().size());
  });
  return error.empty() ? Status() : Status(Code::kHostUnsupported, error);
}

/// An overlay as containers have it, in a tmpfs that goes with its mount namespace.
Status tryOverlay() {
  auto mounts = node::PrivateMounts::enter("/tmp");
  if (!mounts) return mounts.status();
  if (::mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, nullptr) < 0) return failed("tmpfs");
  for (const char* folder :
       {"/tmp/lower", "/tmp/own", "/tmp/own/upper", "/tmp/own/work", "/tmp/at"})
    ::mkdir(folder, 0755);
  return node::mountOverlay({{"/tmp/lower"}, "", "/tmp/own"}, "/tmp/at");
}

Status tryNftables() {
  auto socket = net::NetlinkSocket::open(net::NetlinkSocket::Protocol::kNetfilter);
  if (!socket) return socket.status();
  return net::nftGeneration(*socket).status();
}

Status tryIpv6() {
  const UniqueFd socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return failed("IPv6 sockets");
  const auto disabled = net::getSysctl("ipv6/conf/lo/disable_ipv6");
  if (!disabled) return disabled.status();
  if (*disabled != "0") return Status(Code::kHostUnsupported, "disabled by sysctl");
  return {};
}

void tryNetwork(int fd) {
  auto socket = net::NetlinkSocket::open();
  if (!socket) return report(fd, kTryBridge, socket.status());
  const auto address = net::IpAddress::v4({10, 0, 0, 1});
  const auto mac = net::macFromAddress(address);
  constexpr int kMtu = 1500;
  report(fd, kTryBridge, socket->execute(net::newBridge("doctor-br", mac, kMtu)));
  net::VethEnd near, far;
  near.name = "doctor-a";
  far.name = "doctor-b";
  report(fd, kTryVeth, socket->execute(net::newVeth(near, far)));
  net::VxlanConfig vxlan;
  vxlan.local = address;
  report(fd, kTryVxlan, socket->execute(net::newVxlan("doctor-vx", mac, kMtu, vxlan)));
  report(fd, kTryNftables, tryNftables());
  lab::Underlay underlay({}, kMtu);
  report(fd, kTryBridgeFilter, underlay.supports(lab::FaultKind::kPartition));
  report(fd, kTryTbf, underlay.supports(lab::FaultKind::kRate));
  report(fd, kTryNetem, underlay.supports(lab::FaultKind::kDelay));
  report(fd, kTryIpv6, tryIpv6());
}

void tryAll(int fd, bool root) {
  if (root) {
    // Root does without, and its other trials go without.
    const std::string error = inChild([](int inner) {
      const Status status = enterUserNamespace();
      [[maybe_unused]] const auto n =
          ::write(inner, status.message().data(), status.message().size());
    });
    report(fd, kTryUser, error.empty() ? Status() : Status(Code::kHostUnsupported, error));
  } else {
    const Status status = enterUserNamespace();
    report(fd, kTryUser, status);
    if (!status) return;
  }
  if (::unshare(CLONE_NEWNET) < 0) {
    report(fd, kTryNetwork, failed("unshare"));
  } else {
    report(fd, kTryNetwork, {});
    tryNetwork(fd);
  }
  report(fd, kTryOverlay, tryOverlay());
  report(fd, kTryProc, tryNestedProc(2));
}

std::map<std::string, std::string> runTrials(bool root) {
  std::map<std::string, std::string> trials;
  std::string text = inChild([root](int fd) { tryAll(fd, root); });
  for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
    const std::string line = text.substr(0, end);
    const auto tab = line.find('\t');
    trials[line.substr(0, tab)] = line.substr(tab + 1);
  }
  return trials;
}

std::string userName() {
  const passwd* entry = ::getpwuid(::geteuid());
  return entry ? entry->pw_name : std::to_string(::geteuid());
}

/// Whether "USER:start:count" or "UID:start:count" is in the file.
bool hasRange(const char* file, const std::string& user) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(user + ":") || line.starts_with(std::to_string(::geteuid()) + ":"))
      return true;
  }
  return false;
}

void examineStateFolder(HostFacts& facts) {
  // The folder may not be there yet: the nearest one above it decides.
  std::filesystem::path folder = facts.stateFolder;
  std::error_code error;
  while (!std::filesystem::exists(folder, error) && folder.has_relative_path())
    folder = folder.parent_path();
  if (::access(folder.c_str(), W_OK | X_OK) < 0) {
    facts.stateError = failed(("cannot write " + folder.string()).c_str()).message();
    return;
  }
  struct statvfs info{};
  if (::statvfs(folder.c_str(), &info) == 0)
    facts.freeBytes = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  struct statfs type{};
  if (::statfs(folder.c_str(), &type) < 0) return;
  if (type.f_type == OVERLAYFS_SUPER_MAGIC) facts.stateFileSystem = "overlayfs";
  if (type.f_type == NFS_SUPER_MAGIC) facts.stateFileSystem = "NFS";
  if (type.f_type == FUSE_SUPER_MAGIC) facts.stateFileSystem = "FUSE";
}

}  // namespace

Co<HostFacts> examineHost(ProcessRunner& processes, std::string stateFolder) {
  HostFacts facts;
  facts.root = ::geteuid() == 0;
  facts.user = userName();
  facts.trials = runTrials(facts.root);
  facts.cgroups = Cgroups::find();
  for (const char* tool : {"skopeo", "umoci"}) {
    if (!findProgram(tool))
      facts.missingTools += (facts.missingTools.empty() ? "" : " ") + std::string(tool);
  }
  facts.idMapTools = findProgram("newuidmap").has_value() && findProgram("newgidmap").has_value();
  facts.subordinateIds = hasRange("/etc/subuid", facts.user) && hasRange("/etc/subgid", facts.user);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) facts.openFiles = limit.rlim_max;
  facts.stateFolder = std::move(stateFolder);
  examineStateFolder(facts);
  ProcessSpec spec;
  spec.argv = {"crun", "--version"};
  spec.timeout = std::chrono::seconds(10);
  auto output = co_await processes.run(std::move(spec));
  if (!output) {
    facts.runtimeError = output.status().message();
  } else if (output->exitCode != 0) {
    facts.runtimeError = "crun --version failed with " + std::to_string(output->exitCode);
  } else {
    facts.runtimeVersion = output->out.substr(0, output->out.find('\n'));
  }
  co_return facts;
}

}  // namespace podlab::cli
