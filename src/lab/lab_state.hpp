#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/filesystem.hpp"
#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab::lab {

/// Where a lab keeps what outlives it: everything of a lab is below one folder, and nothing is
/// outside it.
/// - cluster.yaml: the defaulted cluster file
/// - api: host:port of the API on the host's loopback, while it runs and for the next start
/// - lock: a POSIX record lock held by the running lab
/// - kubeconfig: the path of the kubeconfig that has the lab's context
/// - standalone: when it is there, this is no lab but a server for other machines (podlab server)
/// - cgroups: the folders of the lab's cgroups, one a line
/// - admin.sock: what this user's commands talk to the server by
/// - control.sock: what `podlab node` and `podlab down` talk to
/// - pki/: ca, server and admin certificates and keys; service-accounts.key signs tokens
/// - server/: the store
/// - nodes/NAME/: one node: its certificate, pods, logs, checkpoints
/// - hollow/: the certificate of the hollow nodes
/// - volumes/: the folders of PersistentVolumes, shared by all nodes
/// - log/: one log a process
struct LabPaths {
  std::string root;

  std::string clusterFile() const { return root + "/cluster.yaml"; }
  std::string apiAddress() const { return root + "/api"; }
  std::string kubeconfig() const { return root + "/kubeconfig"; }
  std::string standalone() const { return root + "/standalone"; }
  std::string lock() const { return root + "/lock"; }
  std::string cgroups() const { return root + "/cgroups"; }
  std::string adminSocket() const { return root + "/admin.sock"; }
  std::string controlSocket() const { return root + "/control.sock"; }
  std::string pki(std::string_view file) const { return root + "/pki/" + std::string(file); }
  std::string server() const { return root + "/server"; }
  std::string node(std::string_view name) const { return root + "/nodes/" + std::string(name); }
  std::string hollow() const { return root + "/hollow"; }
  std::string volumes() const { return root + "/volumes"; }
  std::string log(std::string_view process) const {
    return root + "/log/" + std::string(process) + ".log";
  }
};

/// The folder of all labs: $PODLAB_STATE_DIR, else /var/lib/podlab as root, else
/// $XDG_STATE_HOME/podlab (~/.local/state/podlab).
Result<std::string> labsRoot();
/// The folder of this user's images, beside the labs; no lab has such a name.
Result<std::string> imageStoreRoot();
Result<LabPaths> labPaths(std::string_view name);
/// Names of the labs that have a state folder, sorted.
Result<std::vector<std::string>> listLabs();

/// The pid of the running lab, or nullopt when it does not run.
std::optional<int> runningLab(const LabPaths& paths);
/// Keeps others from creating and starting labs for the life of the returned descriptor; waits for
/// those who do. Leaves nothing behind.
Result<UniqueFd> lockLabs();
/// Takes the lab's lock for the life of the returned descriptor; kAlreadyExists when a lab holds
/// it.
Result<UniqueFd> lockLab(const LabPaths& paths);

/// The lab's cgroup, as a path in each hierarchy: no other lab of this host has the same.
std::string labCgroup(const LabPaths& paths);
/// Removes the cgroups that the lab's file names, and the file; for when the lab does not run.
/// kConflict while processes are in them still, which are killed: to be tried again.
Status removeLabCgroups(Filesystem& files, const LabPaths& paths);

}  // namespace podlab::lab
