#pragma once
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "api/field_errors.hpp"
#include "api/kinds.hpp"
#include "api/kinds/rules.hpp"
#include "api/object.hpp"

/// The pieces of the Pod kind, each in the file of its name.
namespace podlab::api {

/// pod_defaults.cpp: of pods, and of what templates of pods share with them.
void applyPodDefaults(corev1::Pod& pod);
void applyPodSpecDefaults(corev1::PodSpec& spec);

/// pod_validation.cpp, pod_update_validation.cpp
std::vector<Cause> validatePod(const corev1::Pod& pod);
void validatePodSpec(const corev1::PodSpec& spec, const FieldPath& path, FieldErrors& errors);
std::vector<Cause> validatePodUpdate(const corev1::Pod& now, const corev1::Pod& before);
std::vector<Cause> validatePodStatusUpdate(const corev1::Pod& now, const corev1::Pod& before);

/// container_validation.cpp: containers and init containers; `volumes` are the names of the pod's
/// volumes.
void validateContainers(const corev1::PodSpec& spec, const std::set<std::string>& volumes,
                        const FieldPath& path, FieldErrors& errors);
/// What holds for containers of all lists. A name in `names` is taken.
void validateContainer(const corev1::Container& container, const std::set<std::string>& volumes,
                       std::set<std::string>& names, const FieldPath& path, FieldErrors& errors);
/// ephemeral_validation.cpp: a change by the subresource ephemeralcontainers.
std::vector<Cause> validateEphemeralContainers(const corev1::Pod& now, const corev1::Pod& before);
/// probe_validation.cpp
void validateProbes(const corev1::Container& container, const FieldPath& path, FieldErrors& errors);
void validateLifecycle(const corev1::Lifecycle& lifecycle, const corev1::PodSpec& pod,
                       const FieldPath& path, FieldErrors& errors);
/// reference_validation.cpp: the downward API's references; `paths` are the fields that may be
/// named without a subscript.
void validateFieldRef(const corev1::ObjectFieldSelector& field,
                      std::span<const std::string_view> paths, const FieldPath& path,
                      FieldErrors& errors);
void validateResourceFieldRef(const corev1::ResourceFieldSelector& reference, const FieldPath& path,
                              FieldErrors& errors);
/// volume_validation.cpp: the names of the valid volumes.
std::set<std::string> validateVolumes(const corev1::PodSpec& spec, const FieldPath& path,
                                      FieldErrors& errors);
/// scheduling_validation.cpp
void validateTolerations(const Tolerations& tolerations, const FieldPath& path,
                         FieldErrors& errors);
void validateAffinity(const corev1::Affinity& affinity, const FieldPath& path, FieldErrors& errors);
/// resources_validation.cpp
void validateResources(const ResourceMap& requests, const ResourceMap& limits,
                       const FieldPath& path, FieldErrors& errors);

/// security_validation.cpp
void validateSecurity(const corev1::SecurityContext& context, const FieldPath& path,
                      FieldErrors& errors);
void validatePodSecurity(const corev1::PodSecurityContext& context, const FieldPath& path,
                         FieldErrors& errors);

/// pod_columns.cpp
std::vector<Column> podColumns();

}  // namespace podlab::api
