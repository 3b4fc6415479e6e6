#include "rbac_v1.pb.h"

#include "api/kinds/rbac_rules.hpp"
#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

using rbacv1::ClusterRoleBinding;
using rbacv1::RoleBinding;
using rbacv1::Subject;

template <typename T>
void applyDefaults(T& binding) {
  if (binding.roleref().apigroup().empty())
    binding.mutable_roleref()->set_apigroup(std::string(kRbacGroup));
  for (Subject& subject : *binding.mutable_subjects()) {
    const bool named = subject.kind() == "User" || subject.kind() == "Group";
    if (named && subject.apigroup().empty()) subject.set_apigroup(std::string(kRbacGroup));
  }
}

void validateSubject(const Subject& subject, bool namespaced, const FieldPath& path,
                     FieldErrors& errors) {
  constexpr std::string_view kKinds[] = {"ServiceAccount", "User", "Group"};
  constexpr std::string_view kGroups[] = {kRbacGroup};
  constexpr std::string_view kNoGroup[] = {""};
  if (subject.name().empty()) errors.required(path.child("name"));
  if (subject.kind() == "ServiceAccount") {
    if (!subject.name().empty())
      errors.invalidEach(path.child("name"), subject.name(),
                         faultsOfDns1123Subdomain(subject.name()));
    if (!subject.apigroup().empty())
      errors.notSupported(path.child("apiGroup"), subject.apigroup(), kNoGroup);
    if (!namespaced && subject.namespace_().empty()) errors.required(path.child("namespace"));
  } else if (subject.kind() == "User" || subject.kind() == "Group") {
    if (subject.apigroup() != kRbacGroup)
      errors.notSupported(path.child("apiGroup"), subject.apigroup(), kGroups);
  } else {
    errors.notSupported(path.child("kind"), subject.kind(), kKinds);
  }
}

template <typename T>
std::vector<Cause> validate(const T& binding, bool namespaced) {
  constexpr std::string_view kGroups[] = {kRbacGroup};
  constexpr std::string_view kRoleKinds[] = {"Role", "ClusterRole"};
  FieldErrors errors;
  const auto& role = binding.roleref();
  const FieldPath path("roleRef");
  if (role.apigroup() != kRbacGroup)
    errors.notSupported(path.child("apiGroup"), role.apigroup(), kGroups);
  const std::span<const std::string_view> kinds = std::span(kRoleKinds).subspan(namespaced ? 0 : 1);
  if (std::ranges::find(kinds, role.kind()) == kinds.end())
    errors.notSupported(path.child("kind"), role.kind(), kinds);
  if (role.name().empty()) {
    errors.required(path.child("name"));
  } else {
    errors.invalidEach(path.child("name"), role.name(), faultsOfRbacName(role.name()));
  }
  forEach(binding.subjects(), FieldPath("subjects"),
          [&](const Subject& subject, const FieldPath& at) {
            validateSubject(subject, namespaced, at, errors);
          });
  return errors.take();
}

template <typename T>
std::vector<Cause> validateUpdate(const T& now, const T& before) {
  FieldErrors errors;
  if (!sameMessage(now.roleref(), before.roleref())) {
    const auto& role = now.roleref();
    errors.invalidJson(FieldPath("roleRef"),
                       "{\"apiGroup\":" + quoted(role.apigroup()) + ",\"kind\":" +
                           quoted(role.kind()) + ",\"name\":" + quoted(role.name()) + "}",
                       "cannot change roleRef");
  }
  return errors.take();
}

template <typename T>
Column subjectsColumn(std::string_view name, std::string_view kind) {
  return column<T>(name, 1, [kind](const T& binding) {
    std::string text;
    for (const Subject& subject : binding.subjects()) {
      if (subject.kind() != kind) continue;
      text += text.empty() ? "" : ", ";
      if (kind == "ServiceAccount") text += subject.namespace_() + "/";
      text += subject.name();
    }
    return text;
  });
}

template <typename T>
std::vector<Column> columns() {
  return {nameColumn(),
          column<T>("Role", 0,
                    [](const T& binding) {
                      return binding.roleref().kind() + "/" + binding.roleref().name();
                    }),
          ageColumn(),
          subjectsColumn<T>("Users", "User"),
          subjectsColumn<T>("Groups", "Group"),
          subjectsColumn<T>("ServiceAccounts", "ServiceAccount")};
}

template <typename T>
Strategy strategy(bool namespaced) {
  return {.faultsOfName = faultsOfRbacName,
          .applyDefaults = writes<T>(applyDefaults<T>),
          .validate =
              reads<T>([namespaced](const T& binding) { return validate(binding, namespaced); }),
          .validateUpdate = compares<T>(validateUpdate<T>)};
}

}  // namespace

Kind roleBindingKind() {
  return {
      .group = kRbacGroup,
      .version = "v1",
      .kind = "RoleBinding",
      .plural = "rolebindings",
      .singular = "rolebinding",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &RoleBinding::default_instance(),
      .columns = columns<RoleBinding>(),
      .strategy = strategy<RoleBinding>(true),
  };
}

Kind clusterRoleBindingKind() {
  return {
      .group = kRbacGroup,
      .version = "v1",
      .kind = "ClusterRoleBinding",
      .plural = "clusterrolebindings",
      .singular = "clusterrolebinding",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kCluster,
      .prototype = &ClusterRoleBinding::default_instance(),
      .columns = columns<ClusterRoleBinding>(),
      .strategy = strategy<ClusterRoleBinding>(false),
  };
}

}  // namespace podlab::api
