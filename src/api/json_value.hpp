#pragma once
#include <string_view>

#include <nlohmann/json.hpp>

#include "common/status.hpp"

namespace podlab::api {

/// A JSON text as a value. kBadRequest says where a fault is; the depth is limited
/// (JsonReader::kMaxDepth), and strings are well-formed UTF-8.
Result<nlohmann::json> parseJson(std::string_view text);

/// A JSON text that was checked before: what is malformed all the same is null.
nlohmann::json trustedJson(std::string_view text);

}  // namespace podlab::api
