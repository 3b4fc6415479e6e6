#include <cctype>

#include "api/kinds/pod_parts.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using corev1::Container;
using Names = std::set<std::string>;

void validatePorts(const Container& container, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kProtocols[] = {"SCTP", "TCP", "UDP"};
  Names names;
  forEach(container.ports(), path, [&](const corev1::ContainerPort& port, const FieldPath& at) {
    if (!port.name().empty()) {
      const Faults faults = faultsOfPortName(port.name());
      errors.invalidEach(at.child("name"), port.name(), faults);
      if (faults.empty() && !names.insert(port.name()).second) {
        errors.duplicate(at.child("name"), port.name());
      }
    }
    const auto inRange = [&](std::int64_t number, std::string_view field) {
      for (const std::string& fault : faultsOfPortNumber(number)) {
        errors.invalid(at.child(field), number, fault);
      }
    };
    if (port.containerport() == 0) {
      errors.required(at.child("containerPort"));
    } else {
      inRange(port.containerport(), "containerPort");
    }
    if (port.hostport() != 0) inRange(port.hostport(), "hostPort");
    if (!port.hostip().empty()) validateIp(port.hostip(), at.child("hostIP"), errors);
    errors.oneOf(at.child("protocol"), port.protocol(), kProtocols);
  });
}

/// No two ports of the containers that run together may ask for the same host port; `taken`
/// collects them.
void validateHostPorts(const Container& container, const FieldPath& path, Names& taken,
                       FieldErrors& errors) {
  forEach(container.ports(), path, [&](const corev1::ContainerPort& port, const FieldPath& at) {
    if (port.hostport() == 0) return;
    const std::string key =
        port.protocol() + "/" + port.hostip() + "/" + std::to_string(port.hostport());
    if (!taken.insert(key).second) errors.duplicate(at.child("hostPort"), key);
  });
}

/// A reference to a key of a ConfigMap or Secret.
template <typename Reference>
void validateKeyRef(const Reference& reference, const FieldPath& path, FieldErrors& errors) {
  const std::string& name = reference.localobjectreference().name();
  errors.invalidEach(path.child("name"), name, faultsOfDns1123Subdomain(name));
  if (reference.key().empty()) {
    errors.required(path.child("key"));
  } else {
    errors.invalidEach(path.child("key"), reference.key(), faultsOfConfigMapKey(reference.key()));
  }
}

void validateValueFrom(const corev1::EnvVar& variable, const FieldPath& path, FieldErrors& errors) {
  const corev1::EnvVarSource& source = variable.valuefrom();
  constexpr std::string_view kPaths[] = {"metadata.name",
                                         "metadata.namespace",
                                         "metadata.uid",
                                         "spec.nodeName",
                                         "spec.serviceAccountName",
                                         "status.hostIP",
                                         "status.hostIPs",
                                         "status.podIP",
                                         "status.podIPs"};
  if (source.has_fieldref())
    validateFieldRef(source.fieldref(), kPaths, path.child("fieldRef"), errors);
  if (source.has_configmapkeyref()) {
    validateKeyRef(source.configmapkeyref(), path.child("configMapKeyRef"), errors);
  }
  if (source.has_secretkeyref()) {
    validateKeyRef(source.secretkeyref(), path.child("secretKeyRef"), errors);
  }
  if (source.has_resourcefieldref())
    validateResourceFieldRef(source.resourcefieldref(), path.child("resourceFieldRef"), errors);
  const int sources = source.has_fieldref() + source.has_resourcefieldref() +
                      source.has_configmapkeyref() + source.has_secretkeyref() +
                      source.has_filekeyref();
  if (sources == 0) {
    errors.invalid(path, "",
                   "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or "
                   "`secretKeyRef`");
  } else if (!variable.value().empty()) {
    errors.invalid(path, "", "may not be specified when `value` is not empty");
  } else if (sources > 1) {
    errors.invalid(path, "", "may not have more than one field specified at a time");
  }
}

void validateEnv(const Container& container, const FieldPath& path, FieldErrors& errors) {
  forEach(
      container.env(), path.child("env"), [&](const corev1::EnvVar& variable, const FieldPath& at) {
        if (variable.name().empty()) {
          errors.required(at.child("name"));
        } else {
          errors.invalidEach(at.child("name"), variable.name(), faultsOfEnvName(variable.name()));
        }
        if (variable.has_valuefrom()) {
          validateValueFrom(variable, at.child("valueFrom"), errors);
        }
      });
  forEach(
      container.envfrom(), path.child("envFrom"),
      [&](const corev1::EnvFromSource& source, const FieldPath& at) {
        if (!source.prefix().empty()) {
          errors.invalidEach(at.child("prefix"), source.prefix(), faultsOfEnvName(source.prefix()));
        }
        const auto named = [&](const auto& reference, const char* field) {
          const std::string& name = reference.localobjectreference().name();
          errors.invalidEach(at.child(field).child("name"), name, faultsOfDns1123Subdomain(name));
        };
        if (source.has_configmapref()) named(source.configmapref(), "configMapRef");
        if (source.has_secretref()) named(source.secretref(), "secretRef");
        const int sources = source.has_configmapref() + source.has_secretref();
        if (sources == 0) {
          errors.invalid(at, "", "must specify one of: `configMapRef` or `secretRef`");
        } else if (sources > 1) {
          errors.invalid(at, "", "may not have more than one field specified at a time");
        }
      });
}

void validateMountOptions(const Container& container, const corev1::VolumeMount& mount,
                          const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kPropagation[] = {"Bidirectional", "HostToContainer", "None"};
  constexpr std::string_view kRecursive[] = {"Disabled", "Enabled", "IfPossible"};
  const FieldPath propagation = path.child("mountPropagation");
  const std::string& mode = mount.mountpropagation();
  if (mount.has_mountpropagation()) errors.oneOf(propagation, mode, kPropagation);
  if (mode == "Bidirectional" && !container.securitycontext().privileged()) {
    errors.forbidden(propagation,
                     "Bidirectional mount propagation is available only to privileged containers");
  }
  if (!mount.has_recursivereadonly()) return;
  const FieldPath recursive = path.child("recursiveReadOnly");
  errors.oneOf(recursive, mount.recursivereadonly(), kRecursive);
  if (mount.recursivereadonly() == "Disabled") return;
  if (!mount.readonly()) errors.forbidden(recursive, "may only be specified when readOnly is true");
  if (mount.has_mountpropagation() && mode != "None") {
    errors.forbidden(recursive,
                     "may only be specified when mountPropagation is None or not specified");
  }
}

void validateMounts(const Container& container, const Names& volumes, const FieldPath& path,
                    FieldErrors& errors) {
  Names paths;
  forEach(container.volumemounts(), path,
          [&](const corev1::VolumeMount& mount, const FieldPath& at) {
            if (mount.name().empty()) errors.required(at.child("name"));
            if (!volumes.contains(mount.name())) errors.notFound(at.child("name"), mount.name());
            const std::string& where = mount.mountpath();
            const FieldPath wherePath = at.child("mountPath");
            if (where.empty()) {
              errors.required(wherePath);
            } else if (!where.starts_with('/')) {
              errors.invalid(wherePath, where, "must be an absolute path");
            } else if (where.find(':') != std::string::npos) {
              errors.invalid(wherePath, where, "must not contain ':'");
            }
            if (!paths.insert(where).second) errors.invalid(wherePath, where, "must be unique");
            for (const auto& [field, sub] : {std::pair{"subPath", &mount.subpath()},
                                             std::pair{"subPathExpr", &mount.subpathexpr()}}) {
              if (sub->starts_with('/')) {
                errors.invalid(at.child(field), *sub, "must be a relative path");
              }
              if (("/" + *sub + "/").find("/../") != std::string::npos) {
                errors.invalid(at.child(field), *sub, "must not contain '..'");
              }
            }
            if (!mount.subpath().empty() && !mount.subpathexpr().empty()) {
              errors.invalid(at.child("subPathExpr"), mount.subpathexpr(),
                             "subPathExpr and subPath are mutually exclusive");
            }
            validateMountOptions(container, mount, at, errors);
          });
}

}  // namespace

void validateContainer(const Container& container, const Names& volumes, Names& names,
                       const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kMessagePolicies[] = {"File", "FallbackToLogsOnError"};
  constexpr std::string_view kPullPolicies[] = {"Always", "IfNotPresent", "Never"};
  if (container.name().empty()) {
    errors.required(path.child("name"));
  } else {
    errors.invalidEach(path.child("name"), container.name(),
                       faultsOfDns1123Label(container.name()));
    if (!names.insert(container.name()).second) {
      errors.duplicate(path.child("name"), container.name());
    }
  }
  const std::string& image = container.image();
  if (image.empty()) {
    errors.required(path.child("image"));
  } else if (std::isspace(static_cast<unsigned char>(image.front())) ||
             std::isspace(static_cast<unsigned char>(image.back()))) {
    errors.invalid(path.child("image"), image, "must not have leading or trailing whitespace");
  }
  errors.oneOf(path.child("terminationMessagePolicy"), container.terminationmessagepolicy(),
               kMessagePolicies);
  validatePorts(container, path.child("ports"), errors);
  validateEnv(container, path, errors);
  validateMounts(container, volumes, path.child("volumeMounts"), errors);
  errors.oneOf(path.child("imagePullPolicy"), container.imagepullpolicy(), kPullPolicies);
  validateResources(container.resources().requests(), container.resources().limits(),
                    path.child("resources"), errors);
  validateSecurity(container.securitycontext(), path.child("securityContext"), errors);
}

namespace {

/// Init containers run to their end, so they have neither probes nor hooks, unless they are
/// restartable.
void validateInitOnly(const Container& container, const corev1::PodSpec& pod, const FieldPath& path,
                      FieldErrors& errors) {
  constexpr std::string_view kPolicies[] = {"Always"};
  if (container.has_restartpolicy() && container.restartpolicy() != "Always") {
    errors.notSupported(path.child("restartPolicy"), container.restartpolicy(), kPolicies);
  }
  if (container.restartpolicy() == "Always") {
    validateProbes(container, path, errors);
    validateLifecycle(container.lifecycle(), pod, path.child("lifecycle"), errors);
    return;
  }
  const auto forbid = [&](bool isSet, std::string_view field) {
    if (isSet) {
      errors.forbidden(path.child(field),
                       "may not be set for init containers without restartPolicy=Always");
    }
  };
  forbid(container.has_lifecycle(), "lifecycle");
  forbid(container.has_livenessprobe(), "livenessProbe");
  forbid(container.has_readinessprobe(), "readinessProbe");
  forbid(container.has_startupprobe(), "startupProbe");
}

}  // namespace

void validateContainers(const corev1::PodSpec& spec, const Names& volumes, const FieldPath& path,
                        FieldErrors& errors) {
  Names names;
  Names hostPorts;
  if (spec.containers().empty()) errors.required(path.child("containers"));
  forEach(spec.containers(), path.child("containers"),
          [&](const Container& container, const FieldPath& at) {
            validateContainer(container, volumes, names, at, errors);
            validateProbes(container, at, errors);
            validateLifecycle(container.lifecycle(), spec, at.child("lifecycle"), errors);
            if (container.has_restartpolicy()) {
              errors.forbidden(at.child("restartPolicy"), "may not be set for non-init containers");
            }
            validateHostPorts(container, at.child("ports"), hostPorts, errors);
          });
  forEach(spec.initcontainers(), path.child("initContainers"),
          [&](const Container& container, const FieldPath& at) {
            validateContainer(container, volumes, names, at, errors);
            validateInitOnly(container, spec, at, errors);
            // They run one by one, each with host ports of its own.
            Names own;
            validateHostPorts(container, at.child("ports"), own, errors);
          });
}

}  // namespace podlab::api
