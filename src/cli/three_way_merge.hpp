#pragma once
#include <string>

#include "common/status.hpp"

namespace podlab::cli {

/// What `apply` makes of the live object: `next` wins where it differs from `last` (the manifest
/// applied before), what `last` had and `next` lacks goes, all else stays as it is live. Lists are
/// wholes. All are JSON objects; `last` may be empty.
Result<std::string> threeWayMerge(const std::string& last, const std::string& next,
                                  const std::string& live);

}  // namespace podlab::cli
