#include <google/protobuf/util/message_differencer.h>

#include "api/ephemeral_containers.hpp"
#include "api/kinds/pod_parts.hpp"

namespace podlab::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::util::MessageDifferencer;

/// Nothing that a pod's own service would rest on (upstream's allowedEphemeralContainerFields).
void validateAllowed(const corev1::EphemeralContainerCommon& container, const FieldPath& path,
                     FieldErrors& errors) {
  constexpr std::string_view kAllowed[] = {"name",
                                           "image",
                                           "command",
                                           "args",
                                           "workingDir",
                                           "envFrom",
                                           "env",
                                           "volumeMounts",
                                           "volumeDevices",
                                           "terminationMessagePath",
                                           "terminationMessagePolicy",
                                           "imagePullPolicy",
                                           "securityContext",
                                           "stdin",
                                           "stdinOnce",
                                           "tty"};
  constexpr std::string_view kWhy = "cannot be set for an Ephemeral Container";
  std::vector<const FieldDescriptor*> fields;
  container.GetReflection()->ListFields(container, &fields);
  for (const auto* field : fields) {
    if (std::ranges::find(kAllowed, field->name()) != std::end(kAllowed)) continue;
    // "resources: {}" sets nothing.
    const bool message =
        field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated();
    if (message && container.GetReflection()->GetMessage(container, field).ByteSizeLong() == 0)
      continue;
    errors.forbidden(path.child(field->name()), kWhy);
  }
  forEach(container.volumemounts(), path.child("volumeMounts"),
          [&](const corev1::VolumeMount& mount, const FieldPath& at) {
            if (!mount.subpath().empty()) errors.forbidden(at.child("subPath"), kWhy);
            if (!mount.subpathexpr().empty()) errors.forbidden(at.child("subPathExpr"), kWhy);
          });
}

}  // namespace

std::vector<Cause> validateEphemeralContainers(const corev1::Pod& now, const corev1::Pod& before) {
  FieldErrors errors;
  const FieldPath path = FieldPath("spec").child("ephemeralContainers");
  std::set<std::string> others;
  for (const auto& container : now.spec().containers()) others.insert(container.name());
  for (const auto& container : now.spec().initcontainers()) others.insert(container.name());
  FieldErrors ignored;  // the volumes are as they were
  const auto volumes = validateVolumes(now.spec(), FieldPath("spec").child("volumes"), ignored);
  std::set<std::string> names = others;
  forEach(now.spec().ephemeralcontainers(), path,
          [&](const corev1::EphemeralContainer& container, const FieldPath& at) {
            validateContainer(containerOf(container), volumes, names, at, errors);
            const auto& target = container.targetcontainername();
            if (!target.empty() && !others.contains(target))
              errors.notFound(at.child("targetContainerName"), target);
            validateAllowed(container.ephemeralcontainercommon(), at, errors);
          });
  for (const auto& old : before.spec().ephemeralcontainers()) {
    const auto& name = old.ephemeralcontainercommon().name();
    const auto kept = std::ranges::find_if(now.spec().ephemeralcontainers(),
                                           [&](const corev1::EphemeralContainer& each) {
                                             return each.ephemeralcontainercommon().name() == name;
                                           });
    if (kept == now.spec().ephemeralcontainers().end()) {
      errors.forbidden(path, "existing ephemeral containers \"" + name + "\" may not be removed\n");
      continue;
    }
    MessageDifferencer differencer;
    differencer.set_message_field_comparison(MessageDifferencer::EQUIVALENT);
    std::string difference;
    differencer.ReportDifferencesToString(&difference);
    if (!differencer.Compare(old, *kept)) {
      errors.forbidden(
          path, "existing ephemeral containers \"" + name + "\" may not be changed\n" + difference);
    }
  }
  return errors.take();
}

}  // namespace podlab::api
