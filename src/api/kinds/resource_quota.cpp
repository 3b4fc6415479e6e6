#include <array>
#include <set>

#include "core_v1_policies.pb.h"

#include "api/codec.hpp"
#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"
#include "api/quota.hpp"

namespace podlab::api {
namespace {

using corev1::ResourceQuota;
using corev1::ResourceQuotaSpec;
using Requirement = corev1::ScopedResourceSelectorRequirement;

void applyDefaults(ResourceQuota& object) {
  canonicalize(*object.mutable_spec()->mutable_hard());
  canonicalize(*object.mutable_status()->mutable_hard());
  canonicalize(*object.mutable_status()->mutable_used());
}

/// A resource without domain is one that quotas know.
bool isStandard(const std::string& resource) {
  return resource.find('/') == std::string::npos;
}

void validateHard(const ResourceMap& hard, const FieldPath& path, FieldErrors& errors) {
  for (const auto& name : sortedKeys(hard)) {
    const FieldPath at = path.key(name);
    errors.invalidEach(at, name, faultsOfQualifiedName(name));
    if (isStandard(name) && kindOfQuotaResource(name) == nullptr)
      errors.invalid(at, name, "must be a standard resource for quota");
    validateQuantity(name, hard.at(name), at, errors);
    if (!isComputeQuotaResource(name) && name.find("storage") == std::string::npos) {
      const auto amount = Quantity::read(hard.at(name));
      if (amount != Quantity::of(amount.value()))
        errors.invalid(at, hard.at(name).string(), "must be an integer");
    }
  }
}

/// The scopes of a quota, listed or selected by: known, fitting what is limited, and not opposite.
void validateScopes(const std::set<std::string>& scopes, const std::string& shown,
                    const ResourceMap& hard, const FieldPath& path, FieldErrors& errors) {
  for (const auto& scope : scopes) {
    if (!isScope(scope)) {
      errors.invalidJson(path, shown, "unsupported scope");
      continue;
    }
    for (const auto& name : sortedKeys(hard)) {
      if (isStandard(name) && !scopeCovers(scope, name))
        errors.invalidJson(path, shown, "unsupported scope applied to resource");
    }
  }
  for (const auto& [one, other] :
       {std::pair<const char*, const char*>{"BestEffort", "NotBestEffort"},
        {"Terminating", "NotTerminating"}}) {
    if (scopes.contains(one) && scopes.contains(other))
      errors.invalidJson(path, shown, "conflicting scopes");
  }
}

void validateRequirement(const Requirement& wanted, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kOperators[] = {"DoesNotExist", "Exists", "In", "NotIn"};
  const std::string& op = wanted.operator_();
  errors.oneOf(path.child("operator"), op, kOperators);
  const bool takesValues = op == "In" || op == "NotIn";
  if (takesValues && wanted.values().empty()) {
    errors.required(path.child("values"),
                    "must be at least one value when `operator` is 'In' or 'NotIn' for scope "
                    "selector");
  } else if (!takesValues && !wanted.values().empty()) {
    errors.invalid(path.child("values"), wanted.values(0),
                   "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope "
                   "selector");
  }
  if (wanted.scopename() != "PriorityClass" && op != "Exists") {
    errors.invalid(path.child("operator"), op,
                   "must be 'Exist' only operator when scope is any of "
                   "ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
                   "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
                   "ResourceQuotaScopeCrossNamespacePodAffinity");
  }
}

std::string listed(const std::set<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ",") + quoted(name);
  return "[" + text + "]";
}

std::set<std::string> scopesOf(const ResourceQuota& object) {
  return {object.spec().scopes().begin(), object.spec().scopes().end()};
}

std::vector<Cause> validate(const ResourceQuota& object) {
  const ResourceQuotaSpec& spec = object.spec();
  const FieldPath path("spec");
  FieldErrors errors;
  validateHard(spec.hard(), path.child("hard"), errors);
  const auto scopes = scopesOf(object);
  validateScopes(scopes, listed(scopes), spec.hard(), path.child("scopes"), errors);
  const FieldPath selector = path.child("scopeSelector").child("matchExpressions");
  std::set<std::string> selected;
  forEach(spec.scopeselector().matchexpressions(), selector,
          [&](const Requirement& wanted, const FieldPath& at) {
            validateRequirement(wanted, at, errors);
            selected.insert(wanted.scopename());
          });
  validateScopes(selected, listed(selected), spec.hard(), selector, errors);
  return errors.take();
}

std::vector<Cause> validateUpdate(const ResourceQuota& now, const ResourceQuota& before) {
  FieldErrors errors;
  if (scopesOf(now) != scopesOf(before))
    errors.invalidJson(FieldPath("spec.scopes"), listed(scopesOf(now)), kImmutable);
  return errors.take();
}

std::string usageCell(const ResourceQuota& object, bool limits) {
  std::string text;
  const auto used = toResourceList(object.status().used());
  for (const auto& [name, hard] : toResourceList(object.status().hard())) {
    if (name.starts_with("limits.") != limits) continue;
    const auto found = used.find(name);
    const Quantity amount = found == used.end() ? Quantity() : found->second;
    text += (text.empty() ? "" : ", ") + name + ": " + amount.toString() + "/" + hard.toString();
  }
  return text;
}

}  // namespace

Kind resourceQuotaKind() {
  return {
      .group = "",
      .version = "v1",
      .kind = "ResourceQuota",
      .plural = "resourcequotas",
      .singular = "resourcequota",
      .shortNames = {"quota"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &ResourceQuota::default_instance(),
      .columns = {nameColumn(),
                  column<ResourceQuota>(
                      "Request", 0,
                      [](const ResourceQuota& object) { return usageCell(object, false); }),
                  column<ResourceQuota>(
                      "Limit", 0,
                      [](const ResourceQuota& object) { return usageCell(object, true); }),
                  ageColumn()},
      .strategy = {.hasStatus = true,
                   .applyDefaults = writes<ResourceQuota>(applyDefaults),
                   .prepareForCreate =
                       writes<ResourceQuota>([](ResourceQuota& object) { object.clear_status(); }),
                   .validate = reads<ResourceQuota>(validate),
                   .validateUpdate = compares<ResourceQuota>(validateUpdate)},
  };
}

}  // namespace podlab::api
