#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "cli/context.hpp"

namespace podlab::cli {

/// How kubectl reaches one lab as its administrator.
struct KubeconfigEntry {
  std::string name;  ///< of context, cluster and user: "podlab-NAME"
  std::string server;
  std::string caPem;
  std::string certificatePem;
  std::string keyPem;
};

/// "podlab-NAME"
std::string kubeconfigName(const std::string& lab);
Result<KubeconfigEntry> kubeconfigEntry(const std::string& lab, const lab::LabPaths& paths);

/// The kubeconfig with the lab's context, cluster and user, of which the context is the current
/// one. What else is in `yaml`, which may be empty, stays. kBadRequest when it is no kubeconfig.
Result<std::string> addToKubeconfig(std::string_view yaml, const KubeconfigEntry& entry);
/// Without context, cluster and user of the name, and without a current context when it was this.
Result<std::string> removeFromKubeconfig(std::string_view yaml, const std::string& name);

/// The ConfigMap that says where the server is and whom to trust, as kubeadm's: a kubeconfig
/// without users, under the key "kubeconfig".
inline constexpr const char* kClusterInfo = "cluster-info";
inline constexpr const char* kClusterInfoNamespace = "kube-public";
Result<std::string> clusterInfo(const std::string& server, const std::string& caPem);
struct ClusterAddress {
  std::string server;  ///< "https://host:port"
  std::string caPem;
};
Result<ClusterAddress> readClusterInfo(std::string_view yaml);

/// The file that is meant, as an absolute path: `given`; else the one that kubectl changes: of
/// $KUBECONFIG's list the first that exists, else the last; without it ~/.kube/config.
Result<std::string> kubeconfigPath(const std::string& given);
/// Exchanges the file at once, under the lock that kubectl takes (PATH.lock). An unchanged text is
/// not written. A file that is not there is "" to `change`.
Status changeKubeconfig(const std::string& path,
                        const std::function<Result<std::string>(std::string_view yaml)>& change);

/// Tells kubectl of the lab, in the file that kubeconfigPath(`given`) says.
Status addLabToKubeconfig(Filesystem& files, const Context& context, const lab::LabPaths& paths,
                          const std::string& given);
/// Undoes it, in the file that was changed.
Status removeLabFromKubeconfig(Filesystem& files, const Context& context,
                               const lab::LabPaths& paths);
/// For when that fails, which is no failure of the lab.
void warnOfKubeconfig(const Status& why);

}  // namespace podlab::cli
