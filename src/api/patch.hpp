#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "api/api.hpp"
#include "api/object.hpp"
#include "common/status.hpp"

namespace podlab::api {

/// `document` changed by a JSON Patch (RFC 6902), both JSON texts. kBadRequest for a malformed
/// patch, kInvalid for one that does not fit the document (a missing path, a failed test),
/// kTooLarge for one that grows it without bound.
Result<std::string> jsonPatch(std::string_view document, std::string_view patch);

/// `document` changed by a JSON Merge Patch (RFC 7386). kBadRequest for a malformed patch.
Result<std::string> mergePatch(std::string_view document, std::string_view patch);

struct Patched {
  MutableObjectPtr object;
  std::vector<std::string>
      warnings;  ///< of unknown and duplicate fields, when these are not errors
};

/// A copy of `object`, of any kind, changed by a patch of its JSON form. No defaults are applied
/// and nothing is validated. kUnsupportedMediaType for apply patches;
/// otherwise as above and as fromJson.
Result<Patched> applyPatch(const google::protobuf::Message& object, PatchType type,
                           std::string_view body, FieldValidation validation);

}  // namespace podlab::api
