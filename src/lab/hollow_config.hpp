#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster_config.pb.h"

#include "common/distribution.hpp"
#include "common/status.hpp"
#include "lab/cluster_config.hpp"
#include "net/address.hpp"

namespace podlab::lab {

/// What the containers of hollow nodes do; each draws its own. One whose command is `sleep SECONDS`
/// exits with 0 after so long, as it would anywhere.
struct HollowBehaviour {
  Distribution startDelay;  ///< of a container's start
  Distribution stopDelay;   ///< from the signal that ends it to its exit
  double startFailures = 0;
  double crashes = 0;                    ///< the share that ends with exit code 1...
  Distribution crashAfter;               ///< ...so long after their start
  std::optional<Distribution> lifetime;  ///< then they end with 0; unset: never
};

/// What is wrong with it; `path` is the field that holds it.
void checkBehaviour(const config::v1alpha1::HollowBehaviour& config, const std::string& path,
                    std::vector<Cause>& causes);
/// A valid one.
HollowBehaviour readBehaviour(const config::v1alpha1::HollowBehaviour& config);

/// A single hollow node of a valid cluster.
struct HollowMember {
  std::string name;
  std::map<std::string, std::string> labels;
  std::vector<net::IpAddress> addresses;  ///< nobody's: of the ranges for benchmarks
  const config::v1alpha1::HollowNodes* group = nullptr;
};
/// All of them; they refer to the cluster.
std::vector<HollowMember> hollowNodes(const Cluster& cluster);
int hollowCount(const Cluster& cluster);

/// Name, count and size of each group.
void applyHollowDefaults(Cluster& cluster);
/// What is wrong with them; of a defaulted cluster.
void checkHollow(const Cluster& cluster, std::vector<Cause>& causes);

}  // namespace podlab::lab
