#include <limits>

#include "api/kinds/pod_parts.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

/// With hostNetwork a container's port is the host's.
void validateHostNetwork(const corev1::PodSpec& spec, const FieldPath& path, FieldErrors& errors) {
  if (!spec.hostnetwork()) return;
  forEach(spec.containers(), path.child("containers"),
          [&](const corev1::Container& container, const FieldPath& at) {
            forEach(container.ports(), at.child("ports"),
                    [&](const corev1::ContainerPort& port, const FieldPath& where) {
                      if (port.hostport() == port.containerport()) return;
                      errors.invalid(where.child("hostPort"), port.hostport(),
                                     "must match `containerPort` when `hostNetwork` is true");
                    });
          });
}

void validateDns(const corev1::PodSpec& spec, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kPolicies[] = {"ClusterFirstWithHostNet", "ClusterFirst", "Default",
                                            "None"};
  errors.oneOf(path.child("dnsPolicy"), spec.dnspolicy(), kPolicies);
  const FieldPath config = path.child("dnsConfig");
  if (spec.dnspolicy() == "None") {
    if (!spec.has_dnsconfig()) {
      errors.required(config, "must provide `dnsConfig` when `dnsPolicy` is None");
    } else if (spec.dnsconfig().nameservers().empty()) {
      errors.required(config.child("nameservers"),
                      "must provide at least one DNS nameserver when `dnsPolicy` is None");
    }
  }
  forEach(
      spec.dnsconfig().nameservers(), config.child("nameservers"),
      [&](const std::string& address, const FieldPath& at) { validateIp(address, at, errors); });
}

void validateNames(const corev1::PodSpec& spec, const FieldPath& path, FieldErrors& errors) {
  const auto check = [&](const std::string& value, std::string_view field,
                         Faults (*faultsOf)(std::string_view)) {
    if (!value.empty()) errors.invalidEach(path.child(field), value, faultsOf(value));
  };
  check(spec.serviceaccountname(), "serviceAccountName", faultsOfDns1123Subdomain);
  check(spec.nodename(), "nodeName", faultsOfDns1123Subdomain);
  check(spec.hostname(), "hostname", faultsOfDns1123Label);
  check(spec.subdomain(), "subdomain", faultsOfDns1123Label);
  check(spec.priorityclassname(), "priorityClassName", faultsOfDns1123Subdomain);
  check(spec.runtimeclassname(), "runtimeClassName", faultsOfDns1123Subdomain);
}

void validateGates(const corev1::PodSpec& spec, const FieldPath& path, FieldErrors& errors) {
  std::set<std::string> seen;
  forEach(spec.schedulinggates(), path.child("schedulingGates"),
          [&](const corev1::PodSchedulingGate& gate, const FieldPath& at) {
            errors.invalidEach(at, gate.name(), faultsOfQualifiedName(gate.name()));
            if (!seen.insert(gate.name()).second) errors.duplicate(at, gate.name());
          });
  forEach(spec.readinessgates(), path.child("readinessGates"),
          [&](const corev1::PodReadinessGate& gate, const FieldPath& at) {
            errors.invalidEach(at.child("conditionType"), gate.conditiontype(),
                               faultsOfQualifiedName(gate.conditiontype()));
          });
}

/// A user namespace of its own goes with no namespace of the host.
void validateHostUsers(const corev1::PodSpec& spec, const FieldPath& path, FieldErrors& errors) {
  if (!spec.has_hostusers() || spec.hostusers()) return;
  for (const auto& [isSet, field] :
       {std::pair{spec.hostnetwork(), "hostNetwork"}, std::pair{spec.hostpid(), "HostPID"},
        std::pair{spec.hostipc(), "HostIPC"}}) {
    if (isSet) errors.forbidden(path.child(field), "when `pod.Spec.HostUsers` is false");
  }
}

}  // namespace

void validatePodSpec(const corev1::PodSpec& spec, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kRestartPolicies[] = {"Always", "OnFailure", "Never"};
  constexpr std::string_view kPreemptionPolicies[] = {"PreemptLowerPriority", "Never"};
  constexpr std::string_view kSystems[] = {"linux", "windows"};
  constexpr std::int64_t kMaxDeadline = std::numeric_limits<std::int32_t>::max();
  if (!spec.has_terminationgraceperiodseconds()) {
    errors.required(path.child("terminationGracePeriodSeconds"));
  }
  const std::set<std::string> volumes = validateVolumes(spec, path.child("volumes"), errors);
  validateContainers(spec, volumes, path, errors);
  if (!spec.ephemeralcontainers().empty()) {
    errors.forbidden(path.child("ephemeralContainers"), "cannot be set on create");
  }
  validateHostNetwork(spec, path, errors);
  errors.oneOf(path.child("restartPolicy"), spec.restartpolicy(), kRestartPolicies);
  validateDns(spec, path, errors);
  validateLabels(spec.nodeselector(), path.child("nodeSelector"), errors);
  if (spec.shareprocessnamespace() && spec.hostpid()) {
    errors.invalid(path.child("shareProcessNamespace"), true,
                   "ShareProcessNamespace and HostPID cannot both be enabled");
  }
  validateHostUsers(spec, path, errors);
  validatePodSecurity(spec.securitycontext(), path.child("securityContext"), errors);
  validateAffinity(spec.affinity(), path.child("affinity"), errors);
  validateGates(spec, path, errors);
  validateNames(spec, path, errors);
  if (spec.has_activedeadlineseconds() &&
      (spec.activedeadlineseconds() < 1 || spec.activedeadlineseconds() > kMaxDeadline)) {
    errors.invalid(path.child("activeDeadlineSeconds"), spec.activedeadlineseconds(),
                   rangeFault(1, kMaxDeadline));
  }
  validateTolerations(spec.tolerations(), path.child("tolerations"), errors);
  forEach(spec.hostaliases(), path.child("hostAliases"),
          [&](const corev1::HostAlias& alias, const FieldPath& at) {
            validateIp(alias.ip(), at.child("ip"), errors);
          });
  if (spec.has_preemptionpolicy()) {
    errors.oneOf(path.child("preemptionPolicy"), spec.preemptionpolicy(), kPreemptionPolicies);
  }
  validateResources(spec.overhead(), {}, path.child("overhead"), errors);
  if (spec.has_os()) errors.oneOf(path.child("os").child("name"), spec.os().name(), kSystems);
}

std::vector<Cause> validatePod(const corev1::Pod& pod) {
  FieldErrors errors;
  validatePodSpec(pod.spec(), FieldPath("spec"), errors);
  return errors.take();
}

}  // namespace podlab::api
