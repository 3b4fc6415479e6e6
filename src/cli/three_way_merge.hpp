#pragma once
#include <google/protobuf/descriptor.h>

#include <string>

#include "common/status.hpp"

namespace podlab::cli {

/// What `kubectl apply` makes of an object of the message `type`, all in JSON: `live`, with all
/// that `next` says, without what `last` said and `next` no longer says. Lists of the API that
/// merge by keys do so. `last` may be empty.
Result<std::string> threeWayMerge(const std::string& last, const std::string& next,
                                  const std::string& live,
                                  const google::protobuf::Descriptor* type);

}  // namespace podlab::cli
