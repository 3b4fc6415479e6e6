#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "api/object.hpp"
#include "common/status.hpp"
#include "node/container_user.hpp"

namespace podlab::node {

/// How a container's process is confined, resolved from the security contexts of pod and container.
struct ContainerSecurity {
  UserIds user;
  std::set<std::string> addCapabilities;  ///< "CAP_NAME" or "ALL"
  std::set<std::string> dropCapabilities;
  bool noNewPrivileges = false;
  bool privileged = false;
  bool readOnlyRoot = false;
  bool unmaskedProc = false;
  enum class Seccomp { kDefault, kUnconfined, kLocal };
  Seccomp seccomp = Seccomp::kDefault;
  std::string seccompFile;  ///< with kLocal: below the node's folder of profiles
  std::map<std::string, std::string> sysctls;
};

/// `imageUser` is the image's USER, `files` are its root file system's. A violation of runAsNonRoot
/// or a user that cannot be resolved is kInvalid, in kubelet's words.
Result<ContainerSecurity> resolveSecurity(const corev1::Pod& pod,
                                          const corev1::Container& container,
                                          const std::string& imageUser, const UserFiles& files);

/// Why kubelet refuses the pod's sysctls: the first that is not on its list of safe ones, or that
/// belongs to a namespace that the pod shares with the host; empty: it does not.
std::string forbiddenSysctl(const corev1::Pod& pod);

/// Docker's default set: CAP_CHOWN and so on; `withMknod` says whether the host holds back devices.
std::set<std::string> defaultCapabilities(bool withMknod);
/// All that this process can give: its bounding set.
std::set<std::string> allCapabilities();
/// The capabilities that a container has.
std::set<std::string> capabilitiesOf(const ContainerSecurity& security, bool withMknod);

}  // namespace podlab::node
