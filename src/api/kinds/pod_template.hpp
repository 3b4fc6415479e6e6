#pragma once
#include <span>
#include <string>
#include <string_view>

#include "core_v1_workloads.pb.h"

#include "api/field_errors.hpp"
#include "api/kinds.hpp"
#include "api/kinds/rows.hpp"
#include "api/object.hpp"

/// What the kinds that make pods from a template have in common.
namespace podlab::api {

void applyPodTemplateDefaults(corev1::PodTemplateSpec& pod);
/// The template's labels, annotations and spec; its restart policy must be one of
/// `restartPolicies`.
void validatePodTemplate(const corev1::PodTemplateSpec& pod,
                         std::span<const std::string_view> restartPolicies, const FieldPath& path,
                         FieldErrors& errors);
/// A workload's selector: there, well-formed, not empty, and one that its template's labels match.
/// `path` is the spec's, `kind` a word for messages ("deployment").
void validateWorkloadSelector(const metav1::LabelSelector& selector,
                              const corev1::PodTemplateSpec& pod, std::string_view kind,
                              const FieldPath& path, FieldErrors& errors);

/// Cells: the names of the containers, their images, a selector ("<none>" for an empty one).
std::string containerNamesCell(const corev1::PodTemplateSpec& pod);
std::string imagesCell(const corev1::PodTemplateSpec& pod);
std::string selectorCell(const metav1::LabelSelector& selector);

}  // namespace podlab::api
