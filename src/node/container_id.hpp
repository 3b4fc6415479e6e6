#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace podlab::node {

/// One instance of a container on its node, written "UID_NAME_ATTEMPT". None of the parts has an
/// underscore in it: uids are hexadecimal, names are DNS labels.
struct ContainerId {
  std::string podUid;
  std::string name;
  int attempt = 0;  ///< counts up from 0 over the container's instances

  std::string toString() const;
  /// nullopt: no such id. A container runtime's scheme ("crun://") may come before it.
  static std::optional<ContainerId> parse(std::string_view text);
  bool operator==(const ContainerId&) const = default;
};

}  // namespace podlab::node
