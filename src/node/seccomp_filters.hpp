#pragma once
#include <map>
#include <set>
#include <string>

#include "common/filesystem.hpp"
#include "node/oci_config.hpp"
#include "node/security.hpp"

namespace podlab::node {

/// The filters of system calls of a node's containers. The default one is compiled once for all
/// containers with the same capabilities, where the runtime takes a program (docs/adr/0014).
class SeccompFilters {
 public:
  /// `folder` has the Localhost profiles.
  SeccompFilters(Filesystem& files, std::string folder, bool runtimeTakesPrograms)
      : files_(files), folder_(std::move(folder)), compiles_(runtimeTakesPrograms) {}

  /// kInvalid names a Localhost profile that cannot be used.
  Result<SeccompFilter> of(const ContainerSecurity& security,
                           const std::set<std::string>& capabilities);

 private:
  Result<SeccompFilter> defaultFilter(const std::set<std::string>& capabilities);

  Filesystem& files_;
  std::string folder_;
  bool compiles_;
  std::map<std::set<std::string>, SeccompFilter> filters_;
};

}  // namespace podlab::node
