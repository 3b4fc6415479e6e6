#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace podlab::api::codec {

/// RFC 4648 base64 with padding.
std::string base64Encode(std::string_view bytes);
/// nullopt when malformed; line breaks are skipped.
std::optional<std::string> base64Decode(std::string_view text);

}  // namespace podlab::api::codec
