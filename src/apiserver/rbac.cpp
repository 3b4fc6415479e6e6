#include "apiserver/rbac.hpp"

#include <algorithm>

#include "api/status_conversion.hpp"

namespace podlab::apiserver {
namespace {

using rbacv1::PolicyRule;
using rbacv1::Subject;
using Texts = google::protobuf::RepeatedPtrField<std::string>;

bool has(const Texts& texts, std::string_view wanted) {
  return std::ranges::any_of(
      texts, [&](const std::string& text) { return text == "*" || text == wanted; });
}

bool hasResource(const Texts& resources, const Access& access) {
  return std::ranges::any_of(resources, [&](std::string_view text) {
    if (text == "*") return true;
    if (access.subresource.empty()) return text == access.resource;
    const auto slash = text.find('/');
    if (slash == std::string_view::npos || text.substr(slash + 1) != access.subresource)
      return false;
    const std::string_view resource = text.substr(0, slash);
    return resource == "*" || resource == access.resource;
  });
}

bool hasPath(const Texts& urls, std::string_view path) {
  return std::ranges::any_of(urls, [&](std::string_view url) {
    if (url == "*" || url == path) return true;
    return url.ends_with('*') && path.starts_with(url.substr(0, url.size() - 1));
  });
}

/// The key of a subject's grants; a name has no NUL.
std::string subjectKey(std::string_view ns, std::string_view kind, std::string_view name) {
  std::string key;
  key.reserve(ns.size() + kind.size() + name.size() + 2);
  key.append(ns).append(1, '\0').append(kind).append(1, '\0').append(name);
  return key;
}

constexpr std::string_view kUser = "User";
constexpr std::string_view kGroup = "Group";

std::string subjectKey(std::string_view ns, const Subject& subject) {
  if (subject.kind() != "ServiceAccount") return subjectKey(ns, subject.kind(), subject.name());
  const std::string_view home = subject.namespace_().empty() ? ns : subject.namespace_();
  return subjectKey(ns, kUser, serviceAccountUser(home, subject.name()));
}

std::string describe(const Subject& subject) {
  const std::string name = subject.kind() == "ServiceAccount"
                               ? subject.name() + "/" + subject.namespace_()
                               : subject.name();
  return subject.kind() + " \"" + name + "\"";
}

}  // namespace

bool allows(const PolicyRule& rule, const Access& access) {
  if (!has(rule.verbs(), access.verb)) return false;
  if (!access.path.empty()) return hasPath(rule.nonresourceurls(), access.path);
  return has(rule.apigroups(), access.group) && hasResource(rule.resources(), access) &&
         (rule.resourcenames().empty() ||
          std::ranges::find(rule.resourcenames(), access.name) != rule.resourcenames().end());
}

Rbac::Rbac(WatchCache& cache) : cache_(cache) {
  follow<rbacv1::RoleBinding>();
  follow<rbacv1::ClusterRoleBinding>();
}

template <typename Binding>
void Rbac::follow() {
  const auto remove = [this](const api::ObjectPtr& object) {
    const auto& binding = api::as<Binding>(object);
    for (const Subject& subject : binding.subjects()) {
      const auto found = grants_.find(subjectKey(binding.metadata().namespace_(), subject));
      if (found == grants_.end()) continue;
      std::erase_if(found->second, [&](const Grant& grant) {
        return api::meta(*grant.binding).uid() == binding.metadata().uid();
      });
      if (found->second.empty()) grants_.erase(found);
    }
  };
  const auto add = [this](const api::ObjectPtr& object) {
    const auto& binding = api::as<Binding>(object);
    const std::string& ns = binding.metadata().namespace_();
    const bool inNamespace = binding.roleref().kind() == "Role";
    for (const Subject& subject : binding.subjects()) {
      Grant grant{object, &binding.roleref(), &subject, nullptr, binding.roleref().name()};
      grant.roleKind =
          inNamespace ? &api::kindFor<rbacv1::Role>() : &api::kindFor<rbacv1::ClusterRole>();
      if (inNamespace) grant.roleKey = ns + "/" + grant.roleKey;
      grants_[subjectKey(ns, subject)].push_back(std::move(grant));
    }
  };
  cache_.of(api::kindFor<Binding>())
      .observe([add, remove](const api::ObjectPtr& before, const api::ObjectPtr& now) {
        if (before) remove(before);
        if (now) add(now);
      });
}

bool Rbac::anyRuleOf(const std::string& subject, const Visitor& visit) const {
  const auto found = grants_.find(subject);
  if (found == grants_.end()) return false;
  for (const Grant& grant : found->second) {
    const auto role = cache_.of(*grant.roleKind).get(grant.roleKey);
    if (!role) continue;
    const auto& rules = grant.role->kind() == "Role" ? api::as<rbacv1::Role>(role).rules()
                                                     : api::as<rbacv1::ClusterRole>(role).rules();
    for (const PolicyRule& rule : rules) {
      if (visit(grant, rule)) return true;
    }
  }
  return false;
}

bool Rbac::anyRule(const User& user, std::string_view ns, const Visitor& visit) const {
  const auto in = [&](std::string_view where) {
    if (anyRuleOf(subjectKey(where, kUser, user.name), visit)) return true;
    return std::ranges::any_of(user.groups, [&](const std::string& group) {
      return anyRuleOf(subjectKey(where, kGroup, group), visit);
    });
  };
  return in("") || (!ns.empty() && in(ns));
}

bool Rbac::allows(const User& user, const Access& access) const {
  return anyRule(user, access.ns, [&](const Grant&, const PolicyRule& rule) {
    return apiserver::allows(rule, access);
  });
}

std::optional<std::string> Rbac::reasonToAllow(const User& user, const Access& access) const {
  std::string reason;
  const bool allowed = anyRule(user, access.ns, [&](const Grant& grant, const PolicyRule& rule) {
    if (!apiserver::allows(rule, access)) return false;
    const auto& meta = api::meta(*grant.binding);
    const bool clusterWide = meta.namespace_().empty();
    const std::string binding =
        clusterWide ? "ClusterRoleBinding \"" + meta.name() + "\""
                    : "RoleBinding \"" + meta.name() + "/" + meta.namespace_() + "\"";
    reason = "RBAC: allowed by " + binding + " of " + grant.role->kind() + " \"" +
             grant.role->name() + "\" to " + describe(*grant.subject);
    return true;
  });
  return allowed ? std::optional(reason) : std::nullopt;
}

std::vector<PolicyRule> Rbac::rulesOf(const User& user, std::string_view ns) const {
  std::vector<PolicyRule> rules;
  anyRule(user, ns, [&](const Grant&, const PolicyRule& rule) {
    rules.push_back(rule);
    return false;
  });
  return rules;
}

Result<std::vector<PolicyRule>> Rbac::rulesOf(const rbacv1::RoleRef& role,
                                              std::string_view ns) const {
  const bool inNamespace = role.kind() == "Role";
  const api::Kind& kind =
      inNamespace ? api::kindFor<rbacv1::Role>() : api::kindFor<rbacv1::ClusterRole>();
  const auto found =
      cache_.of(kind).get(inNamespace ? std::string(ns) + "/" + role.name() : role.name());
  if (!found) return api::notFound(kind, role.name());
  const auto& rules = inNamespace ? api::as<rbacv1::Role>(found).rules()
                                  : api::as<rbacv1::ClusterRole>(found).rules();
  return std::vector<PolicyRule>(rules.begin(), rules.end());
}

}  // namespace podlab::apiserver
