#include "api/custom/member_path.hpp"

#include <utility>

namespace podlab::api {

Result<MemberPath> MemberPath::parse(std::string_view text) {
  const Status malformed(Code::kBadRequest, "should be a json path without array notation");
  MemberPath path;
  while (!text.empty()) {
    const bool quoted = text.starts_with("['");
    if (!quoted && !text.starts_with('.')) return malformed;
    text.remove_prefix(quoted ? 2 : 1);
    const auto end = quoted ? text.find("']") : text.find_first_of(".[");
    if (quoted && end == std::string_view::npos) return malformed;
    const std::string_view name = text.substr(0, end);
    constexpr std::string_view kOther = "*?@$(){}[]'\" ";
    if (name.empty() || (!quoted && name.find_first_of(kOther) != std::string_view::npos))
      return malformed;
    path.names_.emplace_back(name);
    text.remove_prefix(name.size() + (quoted ? 2 : 0));
  }
  if (path.names_.empty()) return malformed;
  return path;
}

const MemberPath::Json* MemberPath::find(const Json& value) const {
  const Json* at = &value;
  for (const std::string& name : names_) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(name);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

bool MemberPath::set(Json& value, Json wanted) const {
  Json* at = &value;
  for (const std::string& name : names_) {
    if (!at->is_object() && !at->is_null()) return false;
    at = &(*at)[name];
  }
  *at = std::move(wanted);
  return true;
}

std::string MemberPath::pointer() const {
  Json::json_pointer made;
  for (const std::string& name : names_) made /= name;
  return made.to_string();
}

}  // namespace podlab::api
