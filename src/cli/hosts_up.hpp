#pragma once
#include <string>

#include "cli/context.hpp"
#include "common/time.hpp"
#include "lab/cluster_config.hpp"
#include "lab/lab_state.hpp"

namespace podlab::cli {

struct HostsUpOptions {
  Duration patience{};     ///< for each node to be Ready; 0: do not wait
  std::string advertise;   ///< by what the machines find the server; empty: see chooseAddress()
  std::string kubeconfig;  ///< as addLabToKubeconfig() takes it; "none": none
  std::string again;       ///< the command that goes on where this one ended
};

/// `podlab up` of a valid cluster whose nodes are machines: starts the server here, and on each
/// machine, by ssh, an agent that joins it. What is there already is left as it is. A machine that
/// cannot be a node is told of, and the others go on. The exit code.
int upOnHosts(Context& context, const lab::LabPaths& paths, const lab::Cluster& wanted,
              const HostsUpOptions& options);

}  // namespace podlab::cli
