#include "apiserver/authentication.hpp"

#include <algorithm>
#include <cctype>

namespace podlab::apiserver {
namespace {

constexpr std::string_view kExtra = "impersonate-extra-";
constexpr std::string_view kAuthenticationGroup = "authentication.k8s.io";

bool isBearer(std::string_view text) {
  constexpr std::string_view kScheme = "bearer ";
  return text.size() > kScheme.size() &&
         std::ranges::equal(text.substr(0, kScheme.size()), kScheme, [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) == b;
         });
}

/// The namespace and name of a service account's user name; empty when it is none.
std::pair<std::string_view, std::string_view> accountOf(std::string_view user) {
  if (!user.starts_with(kAccountUserPrefix)) return {};
  user.remove_prefix(kAccountUserPrefix.size());
  const auto colon = user.find(':');
  if (colon == std::string_view::npos || user.find(':', colon + 1) != std::string_view::npos)
    return {};
  return {user.substr(0, colon), user.substr(colon + 1)};
}

Status mayBe(const User& user, const User& wanted, const Authorizer& authorizer) {
  const auto check = [&](std::string_view group, std::string_view resource, std::string_view name,
                         std::string_view subresource = "", std::string_view ns = "") {
    return authorizer.check(user,
                            Access{"impersonate", group, resource, subresource, ns, name, ""});
  };
  const auto [ns, account] = accountOf(wanted.name);
  Status allowed = account.empty() ? check("", "users", wanted.name)
                                   : check("", "serviceaccounts", account, "", ns);
  for (auto group = wanted.groups.begin(); allowed && group != wanted.groups.end(); ++group)
    allowed = check("", "groups", *group);
  if (allowed && !wanted.uid.empty()) allowed = check(kAuthenticationGroup, "uids", wanted.uid);
  for (const auto& [key, values] : wanted.extra) {
    for (auto value = values.begin(); allowed && value != values.end(); ++value)
      allowed = check(kAuthenticationGroup, "userextras", *value, key);
  }
  return allowed;
}

}  // namespace

Result<User> authenticate(const http::Request& request, const ByteStream::PeerIdentity& identity,
                          TokenAuthority* tokens) {
  User user = userOf(identity);
  const std::string* header = request.header("authorization");
  if (user.name != kAnonymous || header == nullptr || !isBearer(*header)) return user;
  if (tokens == nullptr) return Status(Code::kUnauthorized, "this server takes no tokens");
  std::string_view token(*header);
  token.remove_prefix(token.find(' '));
  while (token.starts_with(' ')) token.remove_prefix(1);
  auto found = tokens->authenticate(token);
  if (!found) return found.status();
  return std::move(found->user);
}

Result<User> impersonate(User user, const http::Request& request, const Authorizer& authorizer) {
  User wanted;
  bool any = false;
  for (const auto& [name, value] : request.headers) {
    if (!name.starts_with("impersonate-")) continue;
    any = true;
    if (name == "impersonate-user") wanted.name = value;
    if (name == "impersonate-group") wanted.groups.push_back(value);
    if (name == "impersonate-uid") wanted.uid = value;
    if (!name.starts_with(kExtra)) continue;
    const auto key = http::percentDecode(std::string_view(name).substr(kExtra.size()));
    if (!key) return Status(Code::kBadRequest, "the header " + name + " is malformed");
    wanted.extra[*key].push_back(value);
  }
  if (!any) return user;
  if (wanted.name.empty()) {
    return Status(Code::kBadRequest,
                  "a group, uid or extra is to be impersonated without a user: name one by the "
                  "header Impersonate-User");
  }
  if (Status denied = mayBe(user, wanted, authorizer); !denied) return denied;
  const auto [ns, account] = accountOf(wanted.name);
  if (!account.empty() && wanted.groups.empty()) wanted.groups = serviceAccountGroups(ns);
  if (wanted.name != kAnonymous && !wanted.isIn(kAuthenticated))
    wanted.groups.emplace_back(kAuthenticated);
  if (wanted.name == kAnonymous && !wanted.isIn(kUnauthenticated))
    wanted.groups.emplace_back(kUnauthenticated);
  return wanted;
}

}  // namespace podlab::apiserver
