#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/status.hpp"
#include "node/container_cgroup.hpp"
#include "node/container_runtime.hpp"

namespace podlab::node {

/// What of this host a container's configuration depends on.
struct HostFacts {
  NodeCgroups cgroups;
  IdMap uids;  ///< of this user namespace
  IdMap gids;
  bool maySetGroups = true;           ///< setgroups(2) is allowed in it
  std::uint64_t maxOpenFiles = 1024;  ///< this process's hard limit
  int oomScoreFloor = -1000;          ///< how low a process's oom_score_adj may be set
};
/// As this process finds them.
HostFacts hostFacts(NodeCgroups cgroups);

/// A filter of system calls, for the runtime.
struct SeccompFilter {
  std::string profile;  ///< JSON of the specification; empty: none
  std::string program;  ///< the same compiled, base64 (crun's run.oci.seccomp_bpf_data); or empty
};

/// The OCI runtime specification's config.json of a container, with Docker's defaults:
/// capabilities, masked and read-only paths, devices. Where no cgroup holds back devices (version 2
/// needs a BPF program for it), CAP_MKNOD is not among the defaults. The host image's root file
/// system is always read-only. kInvalid: an id that is not mapped here.
Result<std::string> makeOciConfig(const ContainerSpec& spec, const HostFacts& host,
                                  const SeccompFilter& seccomp);

/// The capabilities that the container has on this host.
std::set<std::string> capabilitiesOf(const ContainerSpec& spec, const HostFacts& host);

/// The runtime's process.json for a program that exec runs: as the container's own, by its
/// config.json, but for arguments and terminal. Empty when the configuration is malformed.
std::string execProcess(const std::string& config, const ExecSpec& exec);

/// What podlab keeps of a container in its config.json.
struct ConfigOwner {
  std::string podUid;
  std::string name;
  int stopSignal = 15;
};
std::optional<ConfigOwner> readConfigOwner(const std::string& config);

/// A failed runtime's message as a Status: a program that is not there is kNotFound, one that may
/// not be executed kForbidden, others kInternal.
Status runtimeFailure(std::string_view message, const std::string& program);

}  // namespace podlab::node
