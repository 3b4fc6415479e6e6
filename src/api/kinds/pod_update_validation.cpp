#include <google/protobuf/util/message_differencer.h>

#include <limits>

#include "api/kinds/pod_parts.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using corev1::Pod;
using corev1::PodSpec;

constexpr std::string_view kUpdatable =
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)\n";

void validateDeadline(const PodSpec& now, const PodSpec& before, const FieldPath& path,
                      FieldErrors& errors) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const std::int64_t seconds = now.activedeadlineseconds();
  if (!now.has_activedeadlineseconds()) {
    if (before.has_activedeadlineseconds()) {
      errors.invalid(path, "null", "must not update from a positive integer to nil value");
    }
  } else if (seconds < 0 || seconds > kMost) {
    errors.invalid(path, seconds, rangeFault(0, kMost));
  } else if (before.has_activedeadlineseconds() && before.activedeadlineseconds() < seconds) {
    errors.invalid(path, seconds, "must be less than or equal to previous value");
  }
}

/// Tolerations may be added, and get another tolerationSeconds.
void validateKept(const Tolerations& now, const Tolerations& before, const FieldPath& path,
                  FieldErrors& errors) {
  for (const corev1::Toleration& old : before) {
    const bool kept = std::ranges::any_of(now, [&](const corev1::Toleration& each) {
      return each.key() == old.key() && each.operator_() == old.operator_() &&
             each.value() == old.value() && each.effect() == old.effect();
    });
    if (!kept) {
      errors.forbidden(path,
                       "existing toleration can not be modified except its tolerationSeconds");
      return;
    }
  }
}

void validateGates(const PodSpec& now, const PodSpec& before, const FieldPath& path,
                   FieldErrors& errors) {
  forEach(now.schedulinggates(), path, [&](const auto& gate, const FieldPath& at) {
    const bool old = std::ranges::any_of(
        before.schedulinggates(), [&](const auto& each) { return each.name() == gate.name(); });
    if (!old) {
      errors.forbidden(
          at.child("name"),
          "only deletion is allowed, but found new scheduling gate '" + gate.name() + "'");
    }
  });
}

/// `now` with what may change as in `before`.
PodSpec withOldValues(const PodSpec& now, const PodSpec& before) {
  PodSpec spec = now;
  for (int i = 0; i < spec.containers_size(); ++i) {
    spec.mutable_containers(i)->set_image(before.containers(i).image());
  }
  for (int i = 0; i < spec.initcontainers_size(); ++i) {
    spec.mutable_initcontainers(i)->set_image(before.initcontainers(i).image());
  }
  spec.clear_activedeadlineseconds();
  if (before.has_activedeadlineseconds()) {
    spec.set_activedeadlineseconds(before.activedeadlineseconds());
  }
  *spec.mutable_schedulinggates() = before.schedulinggates();
  *spec.mutable_tolerations() = before.tolerations();
  if (before.terminationgraceperiodseconds() < 0 && spec.terminationgraceperiodseconds() == 1) {
    spec.set_terminationgraceperiodseconds(before.terminationgraceperiodseconds());
  }
  return spec;
}

bool isSidecar(const PodSpec& spec, const std::string& name) {
  return std::ranges::any_of(spec.initcontainers(), [&](const corev1::Container& container) {
    return container.name() == name && container.restartpolicy() == "Always";
  });
}

/// A container that ended for good stays ended.
template <typename Statuses>
void validateTransitions(const Statuses& now, const Statuses& before, const PodSpec& spec,
                         const std::string& restartPolicy, const FieldPath& path,
                         FieldErrors& errors) {
  if (restartPolicy == "Always") return;
  forEach(before, path, [&](const corev1::ContainerStatus& old, const FieldPath& at) {
    if (isSidecar(spec, old.name())) return;
    if (!old.state().has_terminated()) return;
    if (old.state().terminated().exitcode() != 0 && restartPolicy == "OnFailure") return;
    for (const corev1::ContainerStatus& status : now) {
      if (status.name() == old.name() && !status.state().has_terminated()) {
        errors.forbidden(at.child("state"), "may not be transitioned to non-terminated state");
      }
    }
  });
}

/// podIPs or hostIPs.
template <typename Addresses>
void validateAddresses(const Addresses& addresses, const FieldPath& path, FieldErrors& errors) {
  std::vector<int> families;
  std::string all;
  forEach(addresses, path, [&](const auto& address, const FieldPath& at) {
    validateIp(address.ip(), at, errors);
    families.push_back(addressFamily(address.ip()));
    all += (all.empty() ? "" : ",") + address.ip();
  });
  validateFamilies(families, all, "IP", path, errors);
}

}  // namespace

std::vector<Cause> validatePodUpdate(const Pod& now, const Pod& before) {
  FieldErrors errors;
  const FieldPath path("spec");
  if (now.spec().containers_size() != before.spec().containers_size()) {
    errors.forbidden(path.child("containers"), "pod updates may not add or remove containers");
    return errors.take();
  }
  if (now.spec().initcontainers_size() != before.spec().initcontainers_size()) {
    errors.forbidden(path.child("initContainers"), "pod updates may not add or remove containers");
    return errors.take();
  }
  validateDeadline(now.spec(), before.spec(), path.child("activeDeadlineSeconds"), errors);
  validateKept(now.spec().tolerations(), before.spec().tolerations(), path.child("tolerations"),
               errors);
  validateGates(now.spec(), before.spec(), path.child("schedulingGates"), errors);

  using google::protobuf::util::MessageDifferencer;
  MessageDifferencer differencer;
  differencer.set_message_field_comparison(MessageDifferencer::EQUIVALENT);
  std::string difference;
  differencer.ReportDifferencesToString(&difference);
  if (!differencer.Compare(before.spec(), withOldValues(now.spec(), before.spec()))) {
    errors.forbidden(path, std::string(kUpdatable) + difference);
  }
  return errors.take();
}

std::vector<Cause> validatePodStatusUpdate(const Pod& now, const Pod& before) {
  FieldErrors errors;
  const FieldPath path("status");
  const std::string& policy = before.spec().restartpolicy();
  if (now.spec().nodename() != before.spec().nodename()) {
    errors.forbidden(path.child("nodeName"), "may not be changed directly");
  }
  if (now.status().qosclass() != before.status().qosclass()) {
    errors.invalid(path.child("qosClass"), now.status().qosclass(), kImmutable);
  }
  forEach(now.status().conditions(), path.child("conditions"),
          [&](const corev1::PodCondition& condition, const FieldPath& at) {
            errors.invalidEach(at.child("type"), condition.type(),
                               faultsOfQualifiedName(condition.type()));
          });
  const auto transitions = [&](const auto& after, const auto& was, const std::string& restart,
                               const char* field) {
    validateTransitions(after, was, before.spec(), restart, path.child(field), errors);
  };
  transitions(now.status().containerstatuses(), before.status().containerstatuses(), policy,
              "containerStatuses");
  transitions(now.status().initcontainerstatuses(), before.status().initcontainerstatuses(), policy,
              "initContainerStatuses");
  transitions(now.status().ephemeralcontainerstatuses(),
              before.status().ephemeralcontainerstatuses(), "Never", "ephemeralContainerStatuses");
  validateAddresses(now.status().podips(), path.child("podIPs"), errors);
  validateAddresses(now.status().hostips(), path.child("hostIPs"), errors);
  return errors.take();
}

}  // namespace podlab::api
