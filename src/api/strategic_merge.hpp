#pragma once
#include <google/protobuf/descriptor.h>

#include <string>
#include <string_view>

#include "common/status.hpp"

namespace podlab::api {

/// `document`, the JSON form of a message of that type, changed by a strategic merge patch, both
/// JSON texts: objects merge, null removes, lists merge by their keys where the field's option
/// `patch` says so and are replaced where not; the directives $patch, $retainKeys,
/// $setElementOrder and $deleteFromPrimitiveList are followed, and never kept (upstream's
/// apimachinery/pkg/util/strategicpatch). kBadRequest for a malformed patch, kInvalid for a list's
/// element without the list's key.
Result<std::string> strategicMergePatch(std::string_view document, std::string_view patch,
                                        const google::protobuf::Descriptor* type);

}  // namespace podlab::api
