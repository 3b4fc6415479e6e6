#include "node/security.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace podlab::node {
namespace {

/// capability.h's names, in the order of their numbers.
constexpr std::array kCapabilities = {"CAP_CHOWN",
                                      "CAP_DAC_OVERRIDE",
                                      "CAP_DAC_READ_SEARCH",
                                      "CAP_FOWNER",
                                      "CAP_FSETID",
                                      "CAP_KILL",
                                      "CAP_SETGID",
                                      "CAP_SETUID",
                                      "CAP_SETPCAP",
                                      "CAP_LINUX_IMMUTABLE",
                                      "CAP_NET_BIND_SERVICE",
                                      "CAP_NET_BROADCAST",
                                      "CAP_NET_ADMIN",
                                      "CAP_NET_RAW",
                                      "CAP_IPC_LOCK",
                                      "CAP_IPC_OWNER",
                                      "CAP_SYS_MODULE",
                                      "CAP_SYS_RAWIO",
                                      "CAP_SYS_CHROOT",
                                      "CAP_SYS_PTRACE",
                                      "CAP_SYS_PACCT",
                                      "CAP_SYS_ADMIN",
                                      "CAP_SYS_BOOT",
                                      "CAP_SYS_NICE",
                                      "CAP_SYS_RESOURCE",
                                      "CAP_SYS_TIME",
                                      "CAP_SYS_TTY_CONFIG",
                                      "CAP_MKNOD",
                                      "CAP_LEASE",
                                      "CAP_AUDIT_WRITE",
                                      "CAP_AUDIT_CONTROL",
                                      "CAP_SETFCAP",
                                      "CAP_MAC_OVERRIDE",
                                      "CAP_MAC_ADMIN",
                                      "CAP_SYSLOG",
                                      "CAP_WAKE_ALARM",
                                      "CAP_BLOCK_SUSPEND",
                                      "CAP_AUDIT_READ",
                                      "CAP_PERFMON",
                                      "CAP_BPF",
                                      "CAP_CHECKPOINT_RESTORE"};

/// kubelet's safe sysctls (pkg/kubelet/sysctl/safe_sysctls.go); all are of a namespace of the
/// pod's.
constexpr std::array kSafeSysctls = {"kernel.shm_rmid_forced",
                                     "net.ipv4.ip_local_port_range",
                                     "net.ipv4.tcp_syncookies",
                                     "net.ipv4.ping_group_range",
                                     "net.ipv4.ip_unprivileged_port_start",
                                     "net.ipv4.ip_local_reserved_ports",
                                     "net.ipv4.tcp_keepalive_time",
                                     "net.ipv4.tcp_fin_timeout",
                                     "net.ipv4.tcp_keepalive_intvl",
                                     "net.ipv4.tcp_keepalive_probes",
                                     "net.ipv4.tcp_rmem",
                                     "net.ipv4.tcp_wmem"};

/// "net/ipv4/x" is the same as "net.ipv4.x".
std::string dotted(std::string name) {
  if (name.find('.') == std::string::npos || name.find('/') < name.find('.'))
    std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

std::string capabilityName(std::string name) {
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
  return name == "ALL" || name.starts_with("CAP_") ? name : "CAP_" + name;
}

/// The container's setting, else the pod's.
template <typename T>
std::optional<T> effective(bool ownIsSet, T own, bool podsIsSet, T pods) {
  if (ownIsSet) return own;
  if (podsIsSet) return pods;
  return std::nullopt;
}

Status checkCapabilities(const std::set<std::string>& names, const char* action) {
  for (const auto& name : names) {
    if (name != "ALL" && std::ranges::find(kCapabilities, name) == kCapabilities.end())
      return Status(Code::kInvalid, "unknown capability \"" + name + "\" to " + action);
  }
  return {};
}

void addGroup(std::vector<std::uint32_t>& groups, std::int64_t gid) {
  const auto id = static_cast<std::uint32_t>(gid);
  if (std::ranges::find(groups, id) == groups.end()) groups.push_back(id);
}

Status checkNonRoot(const corev1::Pod& pod, const corev1::Container& container,
                    std::optional<std::int64_t> runAsUser, const std::string& imageUser) {
  const auto& meta = pod.metadata();
  const std::string where = " (pod: \"" + meta.name() + "_" + meta.namespace_() + "(" + meta.uid() +
                            ")\", container: " + container.name() + ")";
  if (runAsUser) {
    if (*runAsUser != 0) return {};
    return Status(Code::kInvalid, "container's runAsUser breaks non-root policy" + where);
  }
  const std::string user = imageUser.substr(0, imageUser.find(':'));
  const auto uid = user.empty() ? std::optional<std::uint32_t>(0) : numericId(user);
  if (!uid)
    return Status(Code::kInvalid, "container has runAsNonRoot and image has non-numeric user (" +
                                      user + "), cannot verify user is non-root" + where);
  if (*uid == 0)
    return Status(Code::kInvalid, "container has runAsNonRoot and image will run as root" + where);
  return {};
}

}  // namespace

Result<ContainerSecurity> resolveSecurity(const corev1::Pod& pod,
                                          const corev1::Container& container,
                                          const std::string& imageUser, const UserFiles& files) {
  const auto& pods = pod.spec().securitycontext();
  const auto& own = container.securitycontext();
  ContainerSecurity made;
  const auto runAsUser =
      effective(own.has_runasuser(), own.runasuser(), pods.has_runasuser(), pods.runasuser());
  const auto runAsGroup =
      effective(own.has_runasgroup(), own.runasgroup(), pods.has_runasgroup(), pods.runasgroup());
  if (effective(own.has_runasnonroot(), own.runasnonroot(), pods.has_runasnonroot(),
                pods.runasnonroot())
          .value_or(false)) {
    if (Status allowed = checkNonRoot(pod, container, runAsUser, imageUser); !allowed.ok())
      return allowed;
  }
  auto user = lookUpUser(runAsUser ? std::to_string(*runAsUser) : imageUser, files);
  if (!user.ok()) return Status(Code::kInvalid, user.status().message());
  made.user = *std::move(user);
  if (runAsGroup) made.user.gid = static_cast<std::uint32_t>(*runAsGroup);
  if (pods.supplementalgroupspolicy() == "Strict") made.user.groups.clear();
  for (const auto gid : pods.supplementalgroups()) addGroup(made.user.groups, gid);
  if (pods.has_fsgroup()) addGroup(made.user.groups, pods.fsgroup());

  for (const auto& name : own.capabilities().add())
    made.addCapabilities.insert(capabilityName(name));
  for (const auto& name : own.capabilities().drop())
    made.dropCapabilities.insert(capabilityName(name));
  Status known = checkCapabilities(made.addCapabilities, "add");
  if (known.ok()) known = checkCapabilities(made.dropCapabilities, "drop");
  if (!known.ok()) return known;
  made.privileged = own.privileged();
  made.noNewPrivileges = own.has_allowprivilegeescalation() && !own.allowprivilegeescalation();
  made.readOnlyRoot = own.readonlyrootfilesystem();
  made.unmaskedProc = own.procmount() == "Unmasked";
  const auto& profile = own.has_seccompprofile() ? own.seccompprofile() : pods.seccompprofile();
  if (made.privileged || profile.type() == "Unconfined") {
    made.seccomp = ContainerSecurity::Seccomp::kUnconfined;
  } else if (profile.type() == "Localhost") {
    made.seccomp = ContainerSecurity::Seccomp::kLocal;
    made.seccompFile = profile.localhostprofile();
  }
  for (const auto& sysctl : pods.sysctls()) made.sysctls[dotted(sysctl.name())] = sysctl.value();
  return made;
}

std::string forbiddenSysctl(const corev1::Pod& pod) {
  for (const auto& sysctl : pod.spec().securitycontext().sysctls()) {
    const std::string name = dotted(sysctl.name());
    const bool network = name.starts_with("net.");
    if (network && pod.spec().hostnetwork())
      return "forbidden sysctl: \"" + sysctl.name() + "\" not allowed with host net enabled";
    if (!network && pod.spec().hostipc())
      return "forbidden sysctl: \"" + sysctl.name() + "\" not allowed with host ipc enabled";
    if (std::ranges::find(kSafeSysctls, name) == kSafeSysctls.end())
      return "forbidden sysctl: \"" + sysctl.name() + "\" not allowlisted";
  }
  return "";
}

std::set<std::string> defaultCapabilities(bool withMknod) {
  std::set<std::string> names = {
      "CAP_CHOWN",      "CAP_DAC_OVERRIDE",     "CAP_FSETID",     "CAP_FOWNER",  "CAP_NET_RAW",
      "CAP_SETGID",     "CAP_SETUID",           "CAP_SETFCAP",    "CAP_SETPCAP", "CAP_KILL",
      "CAP_SYS_CHROOT", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"};
  if (withMknod) names.insert("CAP_MKNOD");
  return names;
}

std::set<std::string> allCapabilities() {
  std::set<std::string> names;
  for (std::size_t i = 0; i < kCapabilities.size(); ++i) {
    if (::prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) names.insert(kCapabilities[i]);
  }
  return names;
}

std::set<std::string> capabilitiesOf(const ContainerSecurity& security, bool withMknod) {
  const auto all = allCapabilities();
  if (security.privileged) return all;
  const auto& add = security.addCapabilities;
  const auto& drop = security.dropCapabilities;
  // As containerd: ALL comes first, and what is named by itself has the last word.
  std::set<std::string> names = defaultCapabilities(withMknod);
  if (add.contains("ALL")) names = all;
  if (drop.contains("ALL")) names.clear();
  for (const auto& name : add) {
    if (name != "ALL") names.insert(name);
  }
  for (const auto& name : drop) names.erase(name);
  return names;
}

}  // namespace podlab::node
