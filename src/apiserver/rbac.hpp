#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rbac_v1.pb.h"

#include "apiserver/identity.hpp"
#include "apiserver/watch_cache.hpp"

namespace podlab::apiserver {

/// What somebody wants to do, in the terms of rules: with a resource, or with a path when `path` is
/// not empty. Views of what the caller keeps.
struct Access {
  std::string_view verb = {};
  std::string_view group = {};
  std::string_view resource = {};  ///< "pods"
  std::string_view subresource = {};
  std::string_view ns = {};
  std::string_view name = {};
  std::string_view path = {};
};

/// Role-based access control (plugin/pkg/auth/authorizer/rbac): what roles allow to whom their
/// bindings name. Bindings are indexed by their subjects as they change; a decision reads the roles
/// of those that name the user or one of its groups, and no others.
class Rbac {
 public:
  /// Before the caches are filled.
  explicit Rbac(WatchCache& cache);
  Rbac(const Rbac&) = delete;
  Rbac& operator=(const Rbac&) = delete;

  /// Why the user may, as upstream words it ("RBAC: allowed by ..."); nullopt when no rule allows
  /// it.
  std::optional<std::string> reasonToAllow(const User& user, const Access& access) const;
  bool allows(const User& user, const Access& access) const;
  /// All rules that hold for the user in the namespace, those for the whole cluster among them.
  std::vector<rbacv1::PolicyRule> rulesOf(const User& user, std::string_view ns) const;
  /// The rules of the role to which a binding in `ns` refers; kNotFound when there is none.
  Result<std::vector<rbacv1::PolicyRule>> rulesOf(const rbacv1::RoleRef& role,
                                                  std::string_view ns) const;

 private:
  /// What one binding gives one subject.
  struct Grant {
    api::ObjectPtr binding;
    const rbacv1::RoleRef* role = nullptr;     ///< of the binding
    const rbacv1::Subject* subject = nullptr;  ///< of the binding
    const api::Kind* roleKind = nullptr;
    std::string roleKey;
  };
  using Visitor = std::function<bool(const Grant& grant, const rbacv1::PolicyRule& rule)>;

  /// Visits the rules that hold for the user, until one visit returns true; whether one did.
  bool anyRule(const User& user, std::string_view ns, const Visitor& visit) const;
  bool anyRuleOf(const std::string& subject, const Visitor& visit) const;
  template <typename Binding>
  void follow();

  WatchCache& cache_;
  std::unordered_map<std::string, std::vector<Grant>> grants_;  ///< by namespace and subject
};

/// Whether one rule allows the access.
bool allows(const rbacv1::PolicyRule& rule, const Access& access);

/// The parts of `wanted` that no rule of `held` covers, each with one verb, group and resource
/// (component-helpers/auth/rbac/validation).
std::vector<rbacv1::PolicyRule> missingRules(const std::vector<rbacv1::PolicyRule>& held,
                                             const std::vector<rbacv1::PolicyRule>& wanted);
/// The rules as refusals show them, one a line, those of one resource together.
std::string describeRules(const std::vector<rbacv1::PolicyRule>& rules);

}  // namespace podlab::apiserver
