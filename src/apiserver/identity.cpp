#include "apiserver/identity.hpp"

#include <algorithm>

namespace podlab::apiserver {

bool User::isIn(std::string_view group) const {
  return std::ranges::find(groups, group) != groups.end();
}

std::string User::nodeName() const {
  if (!name.starts_with(kNodeUserPrefix) || !isIn(kNodes)) return "";
  return name.substr(kNodeUserPrefix.size());
}

User userOf(const ByteStream::PeerIdentity& identity) {
  if (identity.commonName.empty()) return {"system:anonymous", {"system:unauthenticated"}};
  User user{identity.commonName, identity.organizations};
  user.groups.emplace_back("system:authenticated");
  return user;
}

User systemUser(std::string_view component) {
  return {"system:" + std::string(component), {std::string(kMasters)}};
}

}  // namespace podlab::apiserver
