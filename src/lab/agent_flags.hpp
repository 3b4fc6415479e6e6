#pragma once
#include <string>
#include <vector>

#include "lab/cluster_config.hpp"

namespace podlab::lab {

/// The flags by which `podlab agent` is told what the cluster file says of its node alone: labels,
/// taints, sizes and limits.
std::vector<std::string> agentFlags(const config::v1alpha1::Node& node);

}  // namespace podlab::lab
