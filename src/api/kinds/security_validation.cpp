#include <limits>

#include "api/kinds/pod_parts.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using corev1::SecurityContext;

void validateId(bool isSet, std::int64_t id, const FieldPath& path, FieldErrors& errors) {
  constexpr std::int64_t kMaxId = std::numeric_limits<std::int32_t>::max();
  if (isSet && (id < 0 || id > kMaxId)) errors.invalid(path, id, rangeFault(0, kMaxId));
}

void validateSeccomp(const corev1::SeccompProfile& profile, const FieldPath& path,
                     FieldErrors& errors) {
  constexpr std::string_view kTypes[] = {"Localhost", "RuntimeDefault", "Unconfined"};
  const FieldPath file = path.child("localhostProfile");
  const std::string& name = profile.localhostprofile();
  if (profile.type().empty()) {
    errors.required(path.child("type"), "type is required when seccompProfile is set");
    return;
  }
  errors.oneOf(path.child("type"), profile.type(), kTypes);
  if (profile.type() != "Localhost") {
    if (profile.has_localhostprofile())
      errors.invalid(file, name, "can only be set when seccomp type is Localhost");
    return;
  }
  if (name.empty()) {
    errors.required(file, "must be set when seccomp type is Localhost");
    return;
  }
  if (name.starts_with('/')) errors.invalid(file, name, "must be a relative path");
  if (("/" + name + "/").find("/../") != std::string::npos)
    errors.invalid(file, name, "must not contain '..'");
}

/// "[a-z0-9]([-_a-z0-9]*[a-z0-9])?" joined by '.' or '/'.
bool isSysctlName(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  bool lastPlain = false;
  bool partIsEmpty = true;
  for (const char c : name) {
    if (c == '.' || c == '/') {
      if (partIsEmpty || !lastPlain) return false;
      partIsEmpty = true;
      lastPlain = false;
    } else if (plain(c)) {
      partIsEmpty = false;
      lastPlain = true;
    } else if ((c == '-' || c == '_') && !partIsEmpty) {
      lastPlain = false;
    } else {
      return false;
    }
  }
  return lastPlain;
}

}  // namespace

void validateSecurity(const SecurityContext& context, const FieldPath& path, FieldErrors& errors) {
  validateId(context.has_runasuser(), context.runasuser(), path.child("runAsUser"), errors);
  validateId(context.has_runasgroup(), context.runasgroup(), path.child("runAsGroup"), errors);
  if (context.has_procmount()) {
    constexpr std::string_view kTypes[] = {"Default", "Unmasked"};
    errors.oneOf(path.child("procMount"), context.procmount(), kTypes);
  }
  if (context.has_seccompprofile())
    validateSeccomp(context.seccompprofile(), path.child("seccompProfile"), errors);
  if (!context.has_allowprivilegeescalation() || context.allowprivilegeescalation()) return;
  if (context.privileged()) {
    errors.invalid(path, "",
                   "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
  }
  for (const std::string& name : context.capabilities().add()) {
    if (name == "CAP_SYS_ADMIN" || name == "SYS_ADMIN") {
      errors.invalid(path, "",
                     "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` "
                     "CAP_SYS_ADMIN");
    }
  }
}

void validatePodSecurity(const corev1::PodSecurityContext& context, const FieldPath& path,
                         FieldErrors& errors) {
  validateId(context.has_runasuser(), context.runasuser(), path.child("runAsUser"), errors);
  validateId(context.has_runasgroup(), context.runasgroup(), path.child("runAsGroup"), errors);
  validateId(context.has_fsgroup(), context.fsgroup(), path.child("fsGroup"), errors);
  forEach(context.supplementalgroups(), path.child("supplementalGroups"),
          [&](std::int64_t gid, const FieldPath& at) { validateId(true, gid, at, errors); });
  if (context.has_supplementalgroupspolicy()) {
    constexpr std::string_view kPolicies[] = {"Merge", "Strict"};
    errors.oneOf(path.child("supplementalGroupsPolicy"), context.supplementalgroupspolicy(),
                 kPolicies);
  }
  if (context.has_fsgroupchangepolicy()) {
    constexpr std::string_view kPolicies[] = {"Always", "OnRootMismatch"};
    errors.oneOf(path.child("fsGroupChangePolicy"), context.fsgroupchangepolicy(), kPolicies);
  }
  std::set<std::string> names;
  forEach(context.sysctls(), path.child("sysctls"),
          [&](const corev1::Sysctl& sysctl, const FieldPath& at) {
            if (sysctl.name().empty()) {
              errors.required(at.child("name"));
            } else if (!isSysctlName(sysctl.name())) {
              errors.invalid(
                  at.child("name"), sysctl.name(),
                  "must have at most 253 characters and match regex "
                  "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
            } else if (!names.insert(sysctl.name()).second) {
              errors.duplicate(at.child("name"), sysctl.name());
            }
          });
  if (context.has_seccompprofile())
    validateSeccomp(context.seccompprofile(), path.child("seccompProfile"), errors);
}

}  // namespace podlab::api
