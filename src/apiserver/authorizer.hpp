#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "apiserver/identity.hpp"
#include "apiserver/node_rules.hpp"
#include "apiserver/rbac.hpp"
#include "apiserver/watch_cache.hpp"

namespace podlab::apiserver {

/// Who may do what: the group system:masters anything, nodes what their pods need (nodeMay), and
/// everybody what role-based access control allows.
class Authorizer {
 public:
  /// Before the caches are filled.
  explicit Authorizer(WatchCache& cache) : cache_(cache), rbac_(cache) {}

  /// OK when the user may, kForbidden in the words of Kubernetes otherwise.
  Status check(const User& user, const Attributes& attributes) const;
  /// Of a path that is no resource ("/version"); the verb is the method in lower case.
  Status checkPath(const User& user, std::string_view verb, std::string_view path) const;
  /// Why the user may; nullopt when it may not. For reviews: also of resources that are not served.
  std::optional<std::string> reasonToAllow(const User& user, const Access& access) const;
  /// Also of resources that are no kinds (users, in impersonation).
  Status check(const User& user, const Access& access) const;
  const Rbac& rbac() const { return rbac_; }

 private:
  bool nodeIsAllowed(const User& user, const Attributes& attributes) const;

  WatchCache& cache_;
  Rbac rbac_;
};

}  // namespace podlab::apiserver
