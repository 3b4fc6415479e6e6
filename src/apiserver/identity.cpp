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

bool User::speaksFor(std::string_view node) const {
  return std::ranges::any_of(groups, [node](std::string_view group) {
    if (!group.starts_with(kHollowNodesPrefix)) return false;
    const auto prefix = group.substr(kHollowNodesPrefix.size());
    return node.size() > prefix.size() && node.starts_with(prefix) &&
           node.find_first_not_of("0123456789", prefix.size()) == std::string_view::npos;
  });
}

bool User::speaksForNodes() const {
  return std::ranges::any_of(
      groups, [](std::string_view group) { return group.starts_with(kHollowNodesPrefix); });
}

User nodeUser(std::string_view node) {
  return {std::string(kNodeUserPrefix).append(node),
          {std::string(kNodes), std::string(kAuthenticated)}};
}

User userOf(const ByteStream::PeerIdentity& identity) {
  if (identity.commonName.empty())
    return {std::string(kAnonymous), {std::string(kUnauthenticated)}};
  User user{identity.commonName, identity.organizations};
  user.groups.emplace_back(kAuthenticated);
  return user;
}

User systemUser(std::string_view component) {
  return {"system:" + std::string(component), {std::string(kMasters)}};
}

std::string serviceAccountUser(std::string_view ns, std::string_view name) {
  return std::string(kAccountUserPrefix).append(ns).append(":").append(name);
}

std::vector<std::string> serviceAccountGroups(std::string_view ns) {
  const std::string all(kAccounts);
  return {all, all + ":" + std::string(ns), std::string(kAuthenticated)};
}

}  // namespace podlab::apiserver
