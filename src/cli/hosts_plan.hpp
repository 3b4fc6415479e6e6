#pragma once
#include <optional>
#include <string>
#include <vector>

#include "cli/context.hpp"
#include "common/filesystem.hpp"
#include "common/status.hpp"
#include "common/unique_fd.hpp"
#include "lab/cluster_config.hpp"
#include "lab/lab_state.hpp"
#include "lab/node_host.hpp"
#include "net/address.hpp"

namespace podlab::cli {

/// A cluster whose nodes are machines that podlab reaches by ssh. Its state folder is that of a
/// server for other machines; the cluster file in it has the nodes on whose machines podlab has
/// been, or may have been.

/// A node and its machine.
struct HostNode {
  config::v1alpha1::Node node;
  lab::NodeHost host;
  std::string origin;  ///< for messages: "m1: nodes[0].host "192.168.56.11""

  const std::string& name() const { return node.name(); }
};

/// Those of a valid cluster.
std::vector<HostNode> hostNodes(const lab::Cluster& cluster);

/// What is to be done when `wanted` is brought up where `stored`, if anything, is.
struct HostsPlan {
  std::vector<HostNode> nodes;    ///< to bring up
  std::vector<std::string> gone;  ///< nodes that are stored, and not wanted
};
/// kConflict when what cannot be changed differs: the network, or the machine of a node.
Result<HostsPlan> planHosts(const std::optional<lab::Cluster>& stored, const lab::Cluster& wanted);

/// `stored`, or the server's part of `wanted`, with these nodes, too.
lab::Cluster withNodes(const std::optional<lab::Cluster>& stored, const lab::Cluster& wanted,
                       const std::vector<HostNode>& nodes);

/// The address for --advertise: `flag`; else the one of last time (`stored`, "host:port"), when it
/// is still this machine's; else that of this machine's `own` by which most machines see it
/// (`seen`); else "".
std::string chooseAddress(const std::string& flag, const std::string& stored,
                          const std::vector<net::IpAddress>& own,
                          const std::vector<std::string>& seen);

/// The cluster of a state folder, nullopt when there is none.
Result<std::optional<lab::Cluster>> readCluster(Filesystem& files, const lab::LabPaths& paths);
/// Makes the state folder of a server for other machines, without a cluster file yet.
Status makeHostsFolder(Filesystem& files, const lab::LabPaths& paths);
/// Likewise, and exchanges the cluster file in it.
Status storeHostsCluster(Filesystem& files, const lab::LabPaths& paths,
                         const lab::Cluster& cluster);

/// Keeps others from bringing the cluster up or down meanwhile; kConflict when somebody does.
Result<UniqueFd> lockHosts(const lab::LabPaths& paths);

}  // namespace podlab::cli
