#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/cgroups.hpp"
#include "common/clock.hpp"
#include "common/process.hpp"

namespace podlab::cli {

/// What was found out about this host.
struct HostFacts {
  bool root = false;
  std::string user;
  /// What was tried, each in namespaces of its own that are gone afterwards, and the kernel's
  /// error;
  /// "" when it works. Without a row: it could not be tried.
  std::map<std::string, std::string> trials;
  Cgroups cgroups;
  std::string runtimeVersion;  ///< of crun; "" when it does not start
  std::string runtimeError;
  bool idMapTools = false;  ///< newuidmap and newgidmap
  bool subordinateIds = false;
  std::uint64_t openFiles = 0;  ///< the hard limit
  std::string stateFolder;
  std::string missingTools;     ///< of what `podlab image` runs: "skopeo umoci"
  std::string stateFileSystem;  ///< "" when it takes overlays, else what it is: "overlayfs"
  std::string stateError;       ///< "" when it can be written
  std::uint64_t freeBytes = 0;
};

/// Names of the trials.
inline constexpr const char* kTryUser = "user namespaces";
inline constexpr const char* kTryNetwork = "network namespaces";
inline constexpr const char* kTryProc = "nested /proc";
inline constexpr const char* kTryOverlay = "overlay";
inline constexpr const char* kTryBridge = "bridge";
inline constexpr const char* kTryVeth = "veth";
inline constexpr const char* kTryVxlan = "vxlan";
inline constexpr const char* kTryNftables = "nftables";
inline constexpr const char* kTryIpv6 = "ipv6";
inline constexpr const char* kTryBridgeFilter = "bridge filter";
inline constexpr const char* kTryTbf = "sch_tbf";
inline constexpr const char* kTryNetem = "sch_netem";

/// Asks the kernel and the tools; changes nothing on the host.
Co<HostFacts> examineHost(ProcessRunner& processes, std::string stateFolder);

enum class CheckResult {
  kOk,
  kWarn,     ///< `podlab up` works; something else does not, or not as well
  kMissing,  ///< `podlab up` needs it
};

struct Check {
  std::string name;
  CheckResult result = CheckResult::kOk;
  std::string detail;  ///< what is there, or what is lacking and the remedy
};

/// One check a subject, in a fixed order.
std::vector<Check> judgeHost(const HostFacts& facts);
/// Whether `podlab up` has all that it needs.
bool canRunLabs(const std::vector<Check>& checks);

std::string formatChecks(const std::vector<Check>& checks);
/// {"ok": ..., "checks": [{"name", "status", "detail"}]}
std::string checksJson(const std::vector<Check>& checks);

}  // namespace podlab::cli
