#include "net/namespaces.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "common/filesystem.hpp"
#include "common/log.hpp"
#include "net/link.hpp"
#include "net/netlink_socket.hpp"

namespace podlab::net {
namespace {

constexpr char kNetwork[] = "/proc/thread-self/ns/net";
constexpr char kIpc[] = "/proc/thread-self/ns/ipc";
constexpr char kUts[] = "/proc/thread-self/ns/uts";

Result<UniqueFd> openFile(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0444));
  if (!fd) return errnoStatus(errno, "open " + path);
  return fd;
}

bool isNamespaceFile(const std::string& path) {
  struct statfs info;
  return ::statfs(path.c_str(), &info) == 0 && info.f_type == NSFS_MAGIC;
}

Status pin(const char* source, const std::string& target) {
  auto file = openFile(target, O_RDONLY | O_CREAT | O_EXCL);
  if (!file) return file.status();
  if (::mount(source, target.c_str(), nullptr, MS_BIND, nullptr) < 0) {
    return errnoStatus(errno, "pin a namespace on " + target);
  }
  return Status();
}

/// How a folder is mounted, by /proc/self/mountinfo (proc(5): optional fields up to "-" tell the
/// propagation).
enum class MountState { kNotMounted, kPrivate, kShared };
Result<MountState> mountState(const std::string& folder) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/self/mountinfo", "re"), std::fclose);
  if (!file) return errnoStatus(errno, "open /proc/self/mountinfo");
  MountState state = MountState::kNotMounted;
  char* line = nullptr;
  std::size_t capacity = 0;
  while (::getline(&line, &capacity, file.get()) > 0) {
    std::string text(line);
    auto field = [&, at = std::size_t{0}]() mutable {
      std::size_t end = text.find(' ', at);
      std::string word = text.substr(at, end - at);
      at = end == std::string::npos ? text.size() : end + 1;
      return word;
    };
    for (int skipped = 0; skipped < 4; ++skipped) field();
    if (field() != folder) continue;
    field();  // mount options
    state = MountState::kPrivate;
    for (std::string tag = field(); tag != "-" && !tag.empty(); tag = field()) {
      if (tag.starts_with("shared:")) state = MountState::kShared;
    }
  }
  std::free(line);
  return state;
}

}  // namespace

NamespaceScope::~NamespaceScope() {
  for (const auto& [kind, origin] : origins_) {
    if (::setns(origin.get(), kind) < 0) {
      logError("namespace_lost", {{"error", errnoStatus(errno, "return to a namespace")}});
      std::abort();
    }
  }
}

Status NamespaceScope::remember(int flags) {
  for (auto [path, kind] : {std::pair{kNetwork, CLONE_NEWNET}, std::pair{kIpc, CLONE_NEWIPC},
                            std::pair{kUts, CLONE_NEWUTS}}) {
    if (!(flags & kind) || origins_.contains(kind)) continue;
    auto file = openFile(path, O_RDONLY);
    if (!file) return file.status();
    origins_[kind] = std::move(*file);
  }
  return Status();
}

Status NamespaceScope::joinNetwork(const std::string& path) {
  if (Status status = remember(CLONE_NEWNET); !status) return status;
  auto file = openFile(path, O_RDONLY);
  if (!file) return file.status();
  if (::setns(file->get(), CLONE_NEWNET) < 0) {
    return errnoStatus(errno, "enter network namespace " + path);
  }
  return Status();
}

Status NamespaceScope::unshare(int flags) {
  if (Status status = remember(flags); !status) return status;
  return ::unshare(flags) < 0 ? errnoStatus(errno, "make namespaces") : Status();
}

Result<UniqueFd> openSocketIn(const std::string& networkPath, int domain, int type, int protocol) {
  return inNetworkNamespace(networkPath, [&]() -> Result<UniqueFd> {
    UniqueFd fd(::socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
    if (!fd) return errnoStatus(errno, "open a socket in " + networkPath);
    return fd;
  });
}

Status raiseLoopback() {
  auto socket = NetlinkSocket::open();
  if (!socket) return socket.status();
  auto loopback = findLink(*socket, "lo");
  if (!loopback) return loopback.status();
  if (!*loopback) return Status(Code::kNotFound, "this network namespace has no link lo");
  LinkSettings settings;
  settings.up = true;
  return socket->executeAll(adjustLink(**loopback, settings));
}

Result<std::string> getSysctl(const std::string& name) {
  auto file = openFile("/proc/sys/net/" + name, O_RDONLY);
  if (!file) return file.status();
  char text[64];
  ssize_t size = ::read(file->get(), text, sizeof text);
  if (size < 0) return errnoStatus(errno, "read sysctl net/" + name);
  std::string value(text, static_cast<std::size_t>(size));
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return value;
}

Status setSysctl(const std::string& name, const std::string& value) {
  auto current = getSysctl(name);
  if (!current) return current.status();
  if (*current == value) return Status();
  auto file = openFile("/proc/sys/net/" + name, O_WRONLY);
  if (!file) return file.status();
  if (::write(file->get(), value.data(), value.size()) < 0) {
    return errnoStatus(errno, "set sysctl net/" + name + " to " + value);
  }
  return Status();
}

Result<NamespacePins> NamespacePins::open(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  Status made = makeRealFilesystem()->createDirectories(folder, 0711);
  if (!made) return made;
  // mountinfo shows resolved paths.
  std::unique_ptr<char, void (*)(void*)> real(::realpath(folder.c_str(), nullptr), std::free);
  if (!real) return errnoStatus(errno, "resolve " + folder);
  folder = real.get();
  auto state = mountState(folder);
  if (!state) return state.status();
  if (*state == MountState::kShared) {
    return Status(
        Code::kInvalid,
        folder +
            " is a shared mount, which would copy every pod's namespaces into other mount "
            "namespaces; run: mount --make-private " +
            folder);
  }
  if (*state == MountState::kNotMounted) {
    if (::mount("podlab", folder.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0711") <
        0) {
      return errnoStatus(errno, "mount a tmpfs on " + folder);
    }
    if (::mount(nullptr, folder.c_str(), nullptr, MS_PRIVATE, nullptr) < 0) {
      Status failed = errnoStatus(errno, "make the mount " + folder + " private");
      ::umount2(folder.c_str(), MNT_DETACH);
      return failed;
    }
  }
  return NamespacePins(std::move(folder));
}

NamespacePaths NamespacePins::paths(const std::string& id, const Wanted& wanted) const {
  const std::string base = folder_ + "/" + id + "/";
  return {wanted.network ? base + "net" : "", wanted.ipc ? base + "ipc" : "",
          wanted.uts ? base + "uts" : ""};
}

Result<NamespacePaths> NamespacePins::create(const std::string& id, const Wanted& wanted,
                                             const std::function<Status()>& inside) {
  const std::string base = folder_ + "/" + id;
  if (id.empty() || id[0] == '.' || id.find('/') != std::string::npos) {
    return Status(Code::kInvalid, "\"" + id + "\" cannot name a set of namespaces");
  }
  if (::mkdir(base.c_str(), 0711) < 0) return errnoStatus(errno, "make " + base);
  const NamespacePaths made = paths(id, wanted);
  auto build = [&]() -> Status {
    NamespaceScope scope;
    int flags = 0;
    if (wanted.network) flags |= CLONE_NEWNET;
    if (wanted.ipc) flags |= CLONE_NEWIPC;
    if (wanted.uts) flags |= CLONE_NEWUTS;
    if (Status done = scope.unshare(flags); !done) return done;
    if (wanted.uts && ::sethostname(wanted.hostname.data(), wanted.hostname.size()) < 0) {
      return errnoStatus(errno, "set the hostname \"" + wanted.hostname + "\"");
    }
    if (Status done = inside(); !done) return done;
    for (auto [source, target] : {std::pair{kNetwork, &made.network}, std::pair{kIpc, &made.ipc},
                                  std::pair{kUts, &made.uts}}) {
      if (target->empty()) continue;
      if (Status done = pin(source, *target); !done) return done;
    }
    return Status();
  };
  if (Status status = build(); !status) {
    Status removed = remove(id);
    if (!removed) logWarning("pins_left_behind", {{"folder", base}, {"error", removed}});
    return status;
  }
  return made;
}

std::optional<NamespacePaths> NamespacePins::find(const std::string& id,
                                                  const Wanted& wanted) const {
  NamespacePaths found = paths(id, wanted);
  for (const std::string* path : {&found.network, &found.ipc, &found.uts}) {
    if (!path->empty() && !isNamespaceFile(*path)) return std::nullopt;
  }
  return found;
}

Status NamespacePins::remove(const std::string& id) {
  const NamespacePaths all = paths(id, Wanted{});
  for (const std::string* path : {&all.network, &all.ipc, &all.uts}) {
    // EINVAL: a file, but not a mount.
    if (::umount2(path->c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL &&
        errno != ENOENT) {
      return errnoStatus(errno, "unpin " + *path);
    }
    if (::unlink(path->c_str()) < 0 && errno != ENOENT) {
      return errnoStatus(errno, "remove " + *path);
    }
  }
  const std::string base = folder_ + "/" + id;
  if (::rmdir(base.c_str()) < 0 && errno != ENOENT) return errnoStatus(errno, "remove " + base);
  return Status();
}

Result<std::vector<std::string>> NamespacePins::list() const {
  return makeRealFilesystem()->listDirectory(folder_);
}

Status NamespacePins::removeAll() {
  auto ids = list();
  if (!ids) return ids.status();
  for (const std::string& id : *ids) {
    if (Status removed = remove(id); !removed) return removed;
  }
  if (::umount2(folder_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) < 0) {
    return errnoStatus(errno, "unmount " + folder_);
  }
  if (::rmdir(folder_.c_str()) < 0) return errnoStatus(errno, "remove " + folder_);
  return Status();
}

}  // namespace podlab::net
