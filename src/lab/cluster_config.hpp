#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "cluster_config.pb.h"

#include "common/status.hpp"
#include "lab/fault.hpp"
#include "net/address.hpp"

namespace podlab::lab {

using Cluster = config::v1alpha1::Cluster;

inline constexpr std::string_view kClusterApiVersion = "podlab.io/v1alpha1";

/// A cluster file (YAML or JSON), strictly: unknown and duplicate fields are errors. Not yet
/// defaulted.
Result<Cluster> parseCluster(std::string_view text);
/// Fills in what is absent: name "default", three nodes node1 to node3 unless there are hollow
/// ones, IPv4, 10.244.0.0/16 (100.64.0.0/10 for many nodes) with a /24 a node, VXLAN on port 8472.
/// Nodes with a count become single nodes with names.
void applyClusterDefaults(Cluster& cluster);
/// Field errors of a defaulted cluster, e.g. overlapping ranges, a name twice. `hostNetworks` are
/// the host's own ranges, with the link that has them, which pods must not shadow.
struct HostNetwork {
  net::Cidr range;
  std::string origin;  ///< "link eth0", "route via eth0"
};
std::vector<Cause> validateCluster(const Cluster& cluster,
                                   const std::vector<HostNetwork>& hostNetworks);
/// Whether its nodes are machines of their own (nodes[].host).
bool hasHosts(const Cluster& cluster);
/// What a server for other machines knows of the cluster: not the nodes, nor what is a lab's alone.
Cluster serverPart(Cluster cluster);
/// The scheduler's profiles as a flag of the server: "NAME=SCORING[:sampled],...".
std::string schedulerProfiles(const Cluster& cluster);
/// The nodes with their labels.
NodeLabels nodeLabels(const Cluster& cluster);
/// Takes out of the timeline what names nodes that are not there.
void dropBrokenFaults(Cluster& cluster);
/// The file as stored and printed, with apiVersion and kind.
std::string formatCluster(const Cluster& cluster);

}  // namespace podlab::lab
