#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.hpp"

namespace podlab::lab {

/// Ids that the machine's administrator has given to a user for user namespaces (subuid(5)).
struct IdRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  bool operator==(const IdRange&) const = default;
};

/// The largest range of the user in a text like /etc/subuid, where lines are "NAME:FIRST:COUNT" or
/// "UID:FIRST:COUNT".
std::optional<IdRange> findRange(const std::string& text, std::string_view name, uid_t uid);

/// The ranges of this process's user, where newuidmap(1) and newgidmap(1) are there too.
struct SubordinateIds {
  IdRange users;
  IdRange groups;
  std::string userTool;
  std::string groupTool;
};
std::optional<SubordinateIds> findSubordinateIds();

/// Maps this process's user to root and the ranges to the ids from 1 on, in the user namespace of
/// the process.
Status mapIds(pid_t process, const SubordinateIds& ids);

}  // namespace podlab::lab
