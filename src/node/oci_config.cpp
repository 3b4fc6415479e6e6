#include "node/oci_config.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>

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

Json capabilities(const HostFacts& host) {
  Json names = {"CAP_CHOWN",      "CAP_DAC_OVERRIDE",     "CAP_FSETID",     "CAP_FOWNER",
                "CAP_NET_RAW",    "CAP_SETGID",           "CAP_SETUID",     "CAP_SETFCAP",
                "CAP_SETPCAP",    "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
                "CAP_AUDIT_WRITE"};
  if (host.cgroup != CgroupMode::kNone) names.push_back("CAP_MKNOD");
  return {{"bounding", names}, {"effective", names}, {"permitted", names}};
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

Json mounts(const ContainerSpec& spec, const HostFacts& host) {
  Json list = Json::array();
  list.push_back(mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
  list.push_back(
      mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  std::vector<std::string> pts{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
  if (host.allIdsMapped) pts.emplace_back("gid=5");
  list.push_back(mount("/dev/pts", "devpts", "devpts", pts));
  list.push_back(mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  if (!hasMount(spec, "/dev/shm")) {
    list.push_back(mount("/dev/shm", "tmpfs", "shm",
                         {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}));
  }
  list.push_back(mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}));
  if (host.cgroup == CgroupMode::kV2) {
    list.push_back(mount("/sys/fs/cgroup", "cgroup", "cgroup",
                         {"nosuid", "noexec", "nodev", "relatime", "ro"}));
  }
  if (spec.image.isHost) {
    for (const auto& path : hostImageBinds()) {
      list.push_back(mount(path, "bind", path, {"rbind", "rro", "rprivate"}));
    }
    for (const auto& path : hostImageScratch()) {
      const char* mode = path == "/tmp" ? "mode=1777" : path == "/root" ? "mode=700" : "mode=755";
      std::vector<std::string> options{"nosuid", "nodev", mode};
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
    const char* access = !own.readOnly ? "rw" : own.recursiveReadOnly && !file ? "rro" : "ro";
    list.push_back(mount(own.destination, "bind", own.source, {"rbind", "rprivate", access}));
  }
  return list;
}

Json namespaces(const ContainerSpec& spec, const HostFacts& host) {
  Json list = Json::array();
  list.push_back({{"type", "mount"}});
  Json pid = {{"type", "pid"}};
  if (!spec.pidNamespace.empty()) pid["path"] = spec.pidNamespace;
  list.push_back(pid);
  const auto join = [&list](const char* type, const std::string& path) {
    if (!path.empty()) list.push_back({{"type", type}, {"path", path}});
  };
  join("network", spec.namespaces.network);
  join("ipc", spec.namespaces.ipc);
  join("uts", spec.namespaces.uts);
  if (host.cgroup == CgroupMode::kV2) list.push_back({{"type", "cgroup"}});
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
  if (spec.tty) setDefault("TERM", "xterm");
  return env;
}

}  // namespace

HostFacts hostFacts(CgroupMode cgroup) {
  HostFacts facts;
  facts.cgroup = cgroup;
  std::uint64_t inside = 1;
  std::uint64_t outside = 1;
  std::uint64_t count = 0;
  std::ifstream("/proc/self/uid_map") >> inside >> outside >> count;
  facts.allIdsMapped = inside == 0 && outside == 0 && count == 0xffffffff;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) facts.maxOpenFiles = files.rlim_max;
  return facts;
}

std::string makeOciConfig(const ContainerSpec& spec, const HostFacts& host) {
  const Json openFiles = {{"type", "RLIMIT_NOFILE"},
                          {"soft", std::min<std::uint64_t>(1024, host.maxOpenFiles)},
                          {"hard", host.maxOpenFiles}};
  Json process = {
      {"terminal", spec.tty},
      {"user", {{"uid", 0}, {"gid", 0}}},
      {"args", spec.argv},
      {"env", environment(spec)},
      {"cwd", spec.workingDir.empty() ? "/" : spec.workingDir},
      {"capabilities", capabilities(host)},
      {"rlimits", Json::array({openFiles})},
      {"noNewPrivileges", false},
  };
  Json linux = {
      {"namespaces", namespaces(spec, host)},
      {"maskedPaths",
       {"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
        "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"}},
      {"readonlyPaths", {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}},
  };
  if (host.cgroup != CgroupMode::kNone) {
    linux["cgroupsPath"] = "/podlab/" + spec.id;
    // The runtime adds the customary devices (null, zero, tty, ...) to none.
    const Json none = {{"allow", false}, {"access", "rwm"}};
    linux["resources"]["devices"] = Json::array({none});
  }
  Json config = {
      {"ociVersion", "1.0.2"},
      {"process", std::move(process)},
      {"root", {{"path", spec.image.rootfs}, {"readonly", spec.image.isHost}}},
      {"mounts", mounts(spec, host)},
      {"annotations",
       {{kPodAnnotation, spec.podUid},
        {kNameAnnotation, spec.name},
        {kStopSignalAnnotation, std::to_string(spec.stopSignal)}}},
      {"linux", std::move(linux)},
  };
  return config.dump(-1, ' ', false, Json::error_handler_t::replace);
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
