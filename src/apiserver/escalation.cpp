#include "apiserver/escalation.hpp"

#include "api/field_errors.hpp"
#include "api/kinds/rules.hpp"
#include "api/status_conversion.hpp"

namespace podlab::apiserver {
namespace {

using google::protobuf::Message;
using rbacv1::ClusterRole;
using rbacv1::ClusterRoleBinding;
using rbacv1::PolicyRule;
using rbacv1::Role;
using rbacv1::RoleBinding;
using Rules = std::vector<PolicyRule>;

/// Who asks for what to be written.
struct Writer {
  const Authorizer& authorizer;
  const User& user;
  const api::Kind& kind;
  const metav1::ObjectMeta& meta;

  bool may(std::string_view verb, std::string_view resource, std::string_view name) const {
    const Access access{.verb = verb,
                        .group = kind.group,
                        .resource = resource,
                        .ns = meta.namespace_(),
                        .name = name};
    return authorizer.check(user, access).ok();
  }

  Status mustHold(const Rules& rules) const {
    const auto missing = missingRules(authorizer.rbac().rulesOf(user, meta.namespace_()), rules);
    if (missing.empty()) return {};
    std::string groups;
    for (const auto& group : user.groups)
      groups += (groups.empty() ? "" : " ") + api::quoted(group);
    return api::forbidden(kind, meta.name(),
                          "user " + api::quoted(user.name) + " (groups=[" + groups +
                              "]) is attempting to grant RBAC permissions not currently held:\n" +
                              describeRules(missing));
  }
};

/// The garbage collector may take owners and finalizers away from what it could not make.
template <typename T>
bool onlyForCollection(const T& next, const Message* before) {
  if (before == nullptr) return false;
  T now = next;
  auto& meta = *now.mutable_metadata();
  const auto& old = api::meta(*before);
  *meta.mutable_ownerreferences() = old.ownerreferences();
  *meta.mutable_finalizers() = old.finalizers();
  *meta.mutable_managedfields() = old.managedfields();
  return api::sameMessage(now, *before);
}

template <typename T>
Status checkRole(const Writer& writer, const T& role, const Message* before) {
  if (onlyForCollection(role, before) ||
      writer.may("escalate", writer.kind.plural, role.metadata().name()))
    return {};
  return writer.mustHold({role.rules().begin(), role.rules().end()});
}

Status checkAggregation(const Writer& writer, const ClusterRole& role, const Message* before) {
  const bool gathers =
      role.has_aggregationrule() ||
      (before != nullptr && static_cast<const ClusterRole&>(*before).has_aggregationrule());
  if (!gathers || onlyForCollection(role, before) ||
      writer.may("escalate", writer.kind.plural, role.metadata().name()))
    return {};
  PolicyRule everything;
  everything.add_verbs("*");
  PolicyRule paths = everything;
  everything.add_apigroups("*");
  everything.add_resources("*");
  paths.add_nonresourceurls("*");
  const Rules all{everything, paths};
  if (writer.mustHold(all).ok()) return {};
  return api::forbidden(writer.kind, role.metadata().name(),
                        "must have cluster-admin privileges to use the aggregationRule");
}

template <typename T>
Status checkBinding(const Writer& writer, const T& binding, const Message* before) {
  const auto& role = binding.roleref();
  const std::string_view resource = role.kind() == "Role" ? "roles" : "clusterroles";
  if (onlyForCollection(binding, before) || writer.may("bind", resource, role.name())) return {};
  const auto rules = writer.authorizer.rbac().rulesOf(role, binding.metadata().namespace_());
  return rules ? writer.mustHold(*rules) : rules.status();
}

}  // namespace

Status checkEscalation(const Authorizer& authorizer, const User& user, const Message& next,
                       const Message* before) {
  const api::Kind& kind = *api::kindOf(next);
  if (user.isIn(kMasters) || kind.group != api::kindFor<Role>().group) return {};
  const Writer writer{authorizer, user, kind, api::meta(next)};
  if (&kind == &api::kindFor<Role>())
    return checkRole(writer, static_cast<const Role&>(next), before);
  if (&kind == &api::kindFor<RoleBinding>())
    return checkBinding(writer, static_cast<const RoleBinding&>(next), before);
  if (&kind == &api::kindFor<ClusterRoleBinding>())
    return checkBinding(writer, static_cast<const ClusterRoleBinding&>(next), before);
  const auto& role = static_cast<const ClusterRole&>(next);
  Status checked = checkRole(writer, role, before);
  return checked ? checkAggregation(writer, role, before) : checked;
}

}  // namespace podlab::apiserver
