#include "rbac_v1.pb.h"

#include "api/kinds/rbac_rules.hpp"
#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/times.hpp"

namespace podlab::api {
namespace {

using rbacv1::ClusterRole;
using rbacv1::PolicyRule;
using rbacv1::Role;

std::string jsonOf(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::string json;
  for (const auto& text : texts) json += (json.empty() ? "" : ",") + quoted(text);
  return "[" + json + "]";
}

void validateRule(const PolicyRule& rule, bool namespaced, const FieldPath& path,
                  FieldErrors& errors) {
  if (rule.verbs().empty())
    errors.required(path.child("verbs"), "verbs must contain at least one value");
  if (!rule.nonresourceurls().empty()) {
    const FieldPath urls = path.child("nonResourceURLs");
    if (namespaced) {
      errors.invalidJson(urls, jsonOf(rule.nonresourceurls()),
                         "namespaced rules cannot apply to non-resource URLs");
    }
    if (!rule.apigroups().empty() || !rule.resources().empty() || !rule.resourcenames().empty()) {
      errors.invalidJson(urls, jsonOf(rule.nonresourceurls()),
                         "rules cannot apply to both regular resources and non-resource URLs");
    }
    return;
  }
  if (rule.apigroups().empty())
    errors.required(path.child("apiGroups"), "resource rules must supply at least one api group");
  if (rule.resources().empty())
    errors.required(path.child("resources"), "resource rules must supply at least one resource");
}

template <typename T>
void validateRules(const T& role, bool namespaced, FieldErrors& errors) {
  forEach(role.rules(), FieldPath("rules"), [&](const PolicyRule& rule, const FieldPath& path) {
    validateRule(rule, namespaced, path, errors);
  });
}

std::vector<Cause> validateRole(const Role& role) {
  FieldErrors errors;
  validateRules(role, true, errors);
  return errors.take();
}

std::vector<Cause> validateClusterRole(const ClusterRole& role) {
  FieldErrors errors;
  validateRules(role, false, errors);
  if (!role.has_aggregationrule()) return errors.take();
  const FieldPath path = FieldPath("aggregationRule").child("clusterRoleSelectors");
  const auto& selectors = role.aggregationrule().clusterroleselectors();
  if (selectors.empty())
    errors.required(path,
                    "at least one clusterRoleSelector required if aggregationRule is non-nil");
  forEach(selectors, path, [&](const metav1::LabelSelector& selector, const FieldPath& at) {
    const auto parsed = LabelSelector::of(selector);
    if (!parsed) errors.invalid(at, "", parsed.status().message());
  });
  return errors.take();
}

/// As printed upstream: the time itself, no age.
Column createdColumn() {
  return {"Created At", 0, [](const google::protobuf::Message& object, WallTime) {
            return formatTime(toWallTime(meta(object).creationtimestamp()));
          }};
}

}  // namespace

Faults faultsOfRbacName(std::string_view name) {
  Faults faults;
  if (name == "." || name == "..") return {"may not be '" + std::string(name) + "'"};
  for (const char c : {'/', '%'}) {
    if (name.find(c) != std::string_view::npos)
      faults.push_back(std::string("may not contain '") + c + "'");
  }
  return faults;
}

Kind roleKind() {
  return {
      .group = kRbacGroup,
      .version = "v1",
      .kind = "Role",
      .plural = "roles",
      .singular = "role",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &Role::default_instance(),
      .columns = {nameColumn(), createdColumn()},
      .strategy = {.faultsOfName = faultsOfRbacName, .validate = reads<Role>(validateRole)},
  };
}

Kind clusterRoleKind() {
  return {
      .group = kRbacGroup,
      .version = "v1",
      .kind = "ClusterRole",
      .plural = "clusterroles",
      .singular = "clusterrole",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kCluster,
      .prototype = &ClusterRole::default_instance(),
      .columns = {nameColumn(), createdColumn()},
      .strategy = {.faultsOfName = faultsOfRbacName,
                   .validate = reads<ClusterRole>(validateClusterRole)},
  };
}

}  // namespace podlab::api
