#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.hpp"
#include "node/cgroup.hpp"
#include "node/container_runtime.hpp"

namespace podlab::node {

/// What of this host a container's configuration depends on.
struct HostFacts {
  CgroupMode cgroup = CgroupMode::kNone;
  bool allIdsMapped = true;           ///< the process is in the initial user namespace
  std::uint64_t maxOpenFiles = 1024;  ///< this process's hard limit
};
/// As this process finds them.
HostFacts hostFacts(CgroupMode cgroup);

/// The OCI runtime specification's config.json of a container, with Docker's defaults:
/// capabilities, masked and read-only paths, devices. Without cgroups nothing limits devices, so
/// CAP_MKNOD is left out. The root file system is read-only for the host image only.
std::string makeOciConfig(const ContainerSpec& spec, const HostFacts& host);

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
