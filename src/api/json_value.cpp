#include "api/json_value.hpp"

#include "common/json.hpp"

namespace podlab::api {

Result<nlohmann::json> parseJson(std::string_view text) {
  // JsonReader goes first: it limits the depth, and says where a fault is.
  JsonReader reader(text);
  reader.skip();
  if (!reader.finish()) return reader.status();
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) return Status(Code::kBadRequest, "a number is out of range");
  return json;
}

nlohmann::json trustedJson(std::string_view text) {
  return parseJson(text).valueOr(nullptr);
}

}  // namespace podlab::api
