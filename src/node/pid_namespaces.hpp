#pragma once
#include <optional>
#include <string>

#include "common/co.hpp"
#include "common/filesystem.hpp"
#include "node/shim_client.hpp"
#include "node/shim_state.hpp"

namespace podlab::node {

/// The PID namespaces that containers of a pod share (shareProcessNamespace): each has an init,
/// started by the shim, that outlives the agent, and a file with its ProcessIdentity.
class PidNamespaces {
 public:
  PidNamespaces(Filesystem& files, ShimClient& shim, std::string folder)
      : files_(files), shim_(shim), folder_(std::move(folder)) {}

  /// The pod's, as a path to join; made when there is none.
  Co<Result<std::string>> create(std::string podUid);
  /// Ends the init, and with it all processes there. Absent is OK.
  Status remove(const std::string& podUid);

 private:
  std::string file(const std::string& podUid) const { return folder_ + "/" + podUid; }
  Result<std::optional<ProcessIdentity>> readInit(const std::string& podUid);

  Filesystem& files_;
  ShimClient& shim_;
  std::string folder_;
};

}  // namespace podlab::node
