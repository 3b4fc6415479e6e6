#include "node/oci_config.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "node/host_image.hpp"
#include "node/stop_signal.hpp"

namespace podlab::node {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kPodAnnotation = "podlab.io/pod-uid";
constexpr const char* kNameAnnotation = "podlab.io/container";
// The image specification's name for it (conversion.md).
constexpr const char* kStopSignalAnnotation = "org.opencontainers.image.stopSignal";

Json capabilities(const ContainerSpec& spec, const HostFacts& host) {
  const Json names = capabilitiesOf(spec, host);
  return {{"bounding", names}, {"effective", names}, {"permitted", names}};
}

Status checkMapped(const UserIds& user, const HostFacts& host) {
  constexpr const char* kRemedy =
      " is not mapped into this lab; remedy: subordinate ids and newuidmap (podlab doctor), or "
      "podlab as root";
  if (!host.uids.has(user.uid))
    return Status(Code::kInvalid, "user id " + std::to_string(user.uid) + kRemedy);
  std::vector<std::uint32_t> gids = user.groups;
  gids.push_back(user.gid);
  for (const auto gid : gids) {
    if (!host.gids.has(gid))
      return Status(Code::kInvalid, "group id " + std::to_string(gid) + kRemedy);
  }
  return {};
}

Json processUser(const UserIds& user, const HostFacts& host) {
  Json made = {{"uid", user.uid}, {"gid", user.gid}};
  if (!host.maySetGroups) return made;
  // As Docker: the own group is among the supplementary ones, so that giving it up is of no use.
  Json groups = {user.gid};
  for (const auto gid : user.groups) {
    if (gid != user.gid) groups.push_back(gid);
  }
  made["additionalGids"] = std::move(groups);
  return made;
}

/// All of the host's devices, for a privileged container.
Json hostDevices(const HostFacts& host) {
  Json list = Json::array();
  std::error_code error;
  const auto options = std::filesystem::directory_options::skip_permission_denied;
  for (std::filesystem::recursive_directory_iterator it("/dev", options, error), end;
       !error && it != end; it.increment(error)) {
    const std::string path = it->path();
    if (path == "/dev/pts" || path == "/dev/shm" || path == "/dev/mqueue" || path == "/dev/fd") {
      it.disable_recursion_pending();
      continue;
    }
    struct stat info{};
    if (::lstat(path.c_str(), &info) < 0 || path == "/dev/console" || path == "/dev/ptmx") continue;
    if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) continue;
    list.push_back({{"path", path},
                    {"type", S_ISCHR(info.st_mode) ? "c" : "b"},
                    {"major", major(info.st_rdev)},
                    {"minor", minor(info.st_rdev)},
                    {"fileMode", info.st_mode & 07777},
                    {"uid", host.uids.has(info.st_uid) ? info.st_uid : 0},
                    {"gid", host.gids.has(info.st_gid) ? info.st_gid : 0}});
  }
  return list;
}

Json mount(std::string_view destination, std::string_view type, std::string_view source,
           std::vector<std::string> options) {
  return {{"destination", destination},
          {"type", type},
          {"source", source},
          {"options", std::move(options)}};
}

bool hasMount(const ContainerSpec& spec, std::string_view destination) {
  return std::any_of(spec.mounts.begin(), spec.mounts.end(),
                     [&](const Mount& m) { return m.destination == destination; });
}

/// Whether it is one of the pod's own files in /etc that the host has not: the host image's /etc is
/// read-only, so there is nothing to mount it over.
bool lacksTarget(const ContainerSpec& spec, const Mount& mount) {
  struct stat info{};
  return spec.image.isHost &&
         (mount.destination == "/etc/hosts" || mount.destination == "/etc/hostname" ||
          mount.destination == "/etc/resolv.conf") &&
         ::lstat(mount.destination.c_str(), &info) < 0;
}

/// What the file system of a bind mount's source forbids: crun takes away what it is not told.
std::vector<std::string> sourceRestrictions(const std::string& source) {
  std::vector<std::string> options;
  struct statvfs info{};
  if (::statvfs(source.c_str(), &info) < 0) return options;
  if ((info.f_flag & ST_NOSUID) != 0) options.emplace_back("nosuid");
  if ((info.f_flag & ST_NODEV) != 0) options.emplace_back("nodev");
  if ((info.f_flag & ST_NOEXEC) != 0) options.emplace_back("noexec");
  return options;
}

const char* propagationName(Mount::Propagation propagation) {
  switch (propagation) {
    case Mount::Propagation::kHostToContainer:
      return "slave";
    case Mount::Propagation::kBidirectional:
      return "shared";
    case Mount::Propagation::kNone:
      break;
  }
  return "private";
}

/// Of the container's root: mounts in it propagate no further than that does.
Mount::Propagation rootPropagation(const ContainerSpec& spec) {
  auto most = Mount::Propagation::kNone;
  for (const auto& own : spec.mounts) most = std::max(most, own.propagation);
  return most;
}

/// What the container sees of its own cgroup.
void addCgroupMounts(Json& list, const ContainerSpec& spec, const HostFacts& host,
                     const char* access) {
  constexpr const char* kPlace = "/sys/fs/cgroup";
  const NodeCgroups& node = host.cgroups;
  if (node.cgroups.isUnified()) {
    list.push_back(
        mount(kPlace, "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", access}));
    return;
  }
  list.push_back(mount(kPlace, "tmpfs", "tmpfs", {"nosuid", "noexec", "nodev", "mode=755"}));
  for (const auto& hierarchy : node.cgroups.hierarchies()) {
    if (hierarchy.unified) continue;
    std::string name;
    for (const auto& controller : hierarchy.controllers)
      name += (name.empty() ? "" : ",") + controller;
    list.push_back(mount(std::string(kPlace) + "/" + name, "bind",
                         hierarchy.base + "/" + node.container(spec.podUid, spec.id),
                         {"bind", "nosuid", "noexec", "nodev", access}));
  }
}

Json mounts(const ContainerSpec& spec, const HostFacts& host) {
  Json list = Json::array();
  list.push_back(mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
  list.push_back(
      mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  std::vector<std::string> pts{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
  if (host.gids.has(5)) pts.emplace_back("gid=5");
  list.push_back(mount("/dev/pts", "devpts", "devpts", pts));
  list.push_back(mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  if (!hasMount(spec, "/dev/shm")) {
    list.push_back(mount("/dev/shm", "tmpfs", "shm",
                         {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}));
  }
  const char* sysAccess = spec.security.privileged ? "rw" : "ro";
  list.push_back(mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", sysAccess}));
  if (host.cgroups.any()) addCgroupMounts(list, spec, host, sysAccess);
  if (spec.image.isHost) {
    for (const auto& path : hostImageBinds()) {
      list.push_back(mount(path, "bind", path, {"rbind", "rro", "rprivate"}));
    }
    for (const auto& path : hostImageScratch()) {
      const char* mode = path == "/tmp" ? "mode=1777" : path == "/root" ? "mode=700" : "mode=755";
      std::vector<std::string> options{"nosuid", "nodev", mode};
      if (spec.security.readOnlyRoot) options.emplace_back("ro");
      // Only these two have something in the image's folder.
      if (path == "/var" || path == "/run") options.emplace_back("tmpcopyup");
      list.push_back(mount(path, "tmpfs", "tmpfs", options));
    }
  }
  for (const auto& own : spec.mounts) {
    if (lacksTarget(spec, own)) continue;
    // crun makes only folders read-only with all that is mounted in them.
    struct stat info{};
    const bool file = ::stat(own.source.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
    std::vector<std::string> options = sourceRestrictions(own.source);
    options.emplace_back("rbind");
    options.push_back(std::string("r") + propagationName(own.propagation));
    options.emplace_back(!own.readOnly ? "rw" : own.recursiveReadOnly && !file ? "rro" : "ro");
    list.push_back(mount(own.destination, "bind", own.source, std::move(options)));
  }
  return list;
}

Json namespaces(const ContainerSpec& spec, const HostFacts& host) {
  Json list = Json::array();
  list.push_back({{"type", "mount"}});
  Json pid = {{"type", "pid"}};
  if (!spec.pidNamespace.empty()) pid["path"] = spec.pidNamespace;
  if (!spec.hostPid) list.push_back(pid);
  const auto join = [&list](const char* type, const std::string& path) {
    if (!path.empty()) list.push_back({{"type", type}, {"path", path}});
  };
  join("network", spec.namespaces.network);
  join("ipc", spec.namespaces.ipc);
  join("uts", spec.namespaces.uts);
  if (host.cgroups.any() && host.cgroups.cgroups.isUnified()) list.push_back({{"type", "cgroup"}});
  return list;
}

std::vector<std::string> environment(const ContainerSpec& spec) {
  std::vector<std::string> env = spec.env;
  const auto setDefault = [&env](const std::string& name, const std::string& value) {
    const bool given = std::any_of(env.begin(), env.end(), [&](const std::string& entry) {
      return entry.starts_with(name + "=");
    });
    if (!given) env.push_back(name + "=" + value);
  };
  setDefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  // crun sets it only for users that are in /etc/passwd.
  setDefault("HOME", spec.security.user.home);
  if (spec.tty) setDefault("TERM", "xterm");
  return env;
}

}  // namespace

HostFacts hostFacts(NodeCgroups cgroups) {
  const auto text = [](const char* path) {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  HostFacts facts;
  facts.cgroups = std::move(cgroups);
  facts.uids = IdMap::parse(text("/proc/self/uid_map"));
  facts.gids = IdMap::parse(text("/proc/self/gid_map"));
  facts.maySetGroups = !text("/proc/self/setgroups").starts_with("deny");
  // proc_pid_oom_score_adj(5): lower than it is takes a capability of the initial namespace.
  if (!facts.uids.isInitial() || ::prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE, 0, 0, 0) != 1)
    facts.oomScoreFloor = std::atoi(text("/proc/self/oom_score_adj").c_str());
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) facts.maxOpenFiles = files.rlim_max;
  return facts;
}

std::set<std::string> capabilitiesOf(const ContainerSpec& spec, const HostFacts& host) {
  const bool devicesAreHeld = host.cgroups.any() && host.cgroups.cgroups.of("devices") != nullptr;
  return capabilitiesOf(spec.security, devicesAreHeld);
}

Result<std::string> makeOciConfig(const ContainerSpec& spec, const HostFacts& host,
                                  const SeccompFilter& seccomp) {
  const ContainerSecurity& security = spec.security;
  if (Status mapped = checkMapped(security.user, host); !mapped.ok()) return mapped;
  const Json openFiles = {{"type", "RLIMIT_NOFILE"},
                          {"soft", std::min<std::uint64_t>(1024, host.maxOpenFiles)},
                          {"hard", host.maxOpenFiles}};
  Json process = {
      {"terminal", spec.tty},
      {"user", processUser(security.user, host)},
      {"args", spec.argv},
      {"env", environment(spec)},
      {"cwd", spec.workingDir.empty() ? "/" : spec.workingDir},
      {"capabilities", capabilities(spec, host)},
      {"rlimits", Json::array({openFiles})},
      {"noNewPrivileges", security.noNewPrivileges},
  };
  if (spec.oomScoreAdjustment) {
    process["oomScoreAdj"] = std::max(*spec.oomScoreAdjustment, host.oomScoreFloor);
  }
  Json linux = {{"namespaces", namespaces(spec, host)}};
  if (!security.privileged && !security.unmaskedProc) {
    linux["maskedPaths"] = {
        "/proc/asound",     "/proc/acpi",        "/proc/interrupts",
        "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
        "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
    linux["readonlyPaths"] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                              "/proc/sysrq-trigger"};
  }
  if (const auto propagation = rootPropagation(spec); propagation != Mount::Propagation::kNone)
    linux["rootfsPropagation"] = std::string("r") + propagationName(propagation);
  if (security.privileged) linux["devices"] = hostDevices(host);
  if (!security.sysctls.empty()) linux["sysctl"] = security.sysctls;
  if (!seccomp.profile.empty()) linux["seccomp"] = Json::parse(seccomp.profile);
  if (host.cgroups.any()) {
    // For runtimes that cannot be kept from having a cgroup of their own.
    linux["cgroupsPath"] = "/" + host.cgroups.container(spec.podUid, spec.id);
  }
  Json config = {
      {"ociVersion", "1.0.2"},
      {"process", std::move(process)},
      {"root",
       {{"path", spec.image.rootfs}, {"readonly", spec.image.isHost || security.readOnlyRoot}}},
      {"mounts", mounts(spec, host)},
      {"annotations",
       {{kPodAnnotation, spec.podUid},
        {kNameAnnotation, spec.name},
        {kStopSignalAnnotation, std::to_string(spec.stopSignal)}}},
      {"linux", std::move(linux)},
  };
  if (!seccomp.program.empty()) config["annotations"]["run.oci.seccomp_bpf_data"] = seccomp.program;
  return config.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string execProcess(const std::string& config, const ExecSpec& exec) {
  Json parsed = Json::parse(config, nullptr, false);
  const auto process = parsed.find("process");
  if (process == parsed.end() || !process->is_object()) return "";
  (*process)["args"] = exec.argv;
  (*process)["terminal"] = exec.tty;
  return process->dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<ConfigOwner> readConfigOwner(const std::string& config) {
  const Json parsed = Json::parse(config, nullptr, false);
  const auto annotations = parsed.find("annotations");
  if (annotations == parsed.end()) return std::nullopt;
  return ConfigOwner{annotations->value(kPodAnnotation, ""),
                     annotations->value(kNameAnnotation, ""),
                     stopSignalOf(annotations->value(kStopSignalAnnotation, ""))};
}

Status runtimeFailure(std::string_view message, const std::string& program) {
  const auto has = [message](std::string_view text) {
    return message.find(text) != std::string_view::npos;
  };
  // crun: "executable file `x` not found in $PATH: ...", "open executable: Permission denied";
  // runc: "exec: \"x\": executable file not found in $PATH", "exec: \"x\": permission denied".
  const std::string text = "cannot run \"" + program + "\": " + std::string(message);
  if (has("executable file") && has("not found")) return Status(Code::kNotFound, text);
  if (has("open executable: No such file")) return Status(Code::kNotFound, text);
  if (has("open executable:") || has("\": permission denied") || has("\": is a directory"))
    return Status(Code::kForbidden, text);
  return Status(Code::kInternal, std::string(message));
}

}  // namespace podlab::node
