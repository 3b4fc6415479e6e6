#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace podlab::cli {

/// `podlab agent`: one node.
struct AgentProcessOptions {
  /// "host:port" of the cluster that this machine is, or is to be, a member of: what else the node
  /// needs to know is then kept in the state folder, below membership/. Empty: all is given here.
  std::string join;
  std::string token;     ///< of the first time
  std::string underlay;  ///< the link by which other nodes are reached; empty: see nodeIps
  std::string name;
  std::string bootId;      ///< empty: the kernel's
  std::string server;      ///< host:port
  std::string apiAddress;  ///< host:port where pods find the API; empty: nowhere
  std::string stateDir;
  std::string runDir;
  std::string volumesDir;  ///< of PersistentVolumes
  std::string pkiDir;      ///< ca.crt, node.crt, node.key
  /// Empty when joined: the source address of the way to the server.
  std::vector<std::string> nodeIps;
  std::vector<std::string> podCidrs;
  std::string backend = "vxlan";
  int vxlanId = 1;
  int vxlanPort = 8472;
  std::optional<int> underlayMtu;
  std::vector<std::string> labels;
  std::vector<std::string> taints;
  std::string cpu;
  std::string memory;
  int maxPods = 110;
  std::int64_t podPidsLimit = 0;    ///< 0: none
  std::string evictionHard;         ///< thresholds of the node's pressure, over the defaults
  std::string cgroup;               ///< where the node's cgroups are; empty: it has none
  std::string logMaxSize = "10Mi";  ///< of one file of a container's log
  int logMaxFiles = 5;
  std::string imageStore;
  std::string missingImages = "error";
  std::string runtime = "crun";
  std::string logLevel = "info";

  std::string membershipFolder() const { return stateDir + "/membership"; }
  std::string pinFolder() const { return runDir + "/pins"; }
  std::string containersFolder() const { return runDir + "/containers"; }
  std::string rootfsFolder() const { return stateDir + "/rootfs"; }
  std::string sysctlFile() const { return runDir + "/sysctls"; }  ///< what they were
};

/// Runs until SIGTERM or SIGINT; pods stay. The process's exit code.
int runAgent(AgentProcessOptions options);

}  // namespace podlab::cli
