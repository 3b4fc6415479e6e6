#pragma once
#include <span>
#include <string>
#include <string_view>

#include "core_v1_workloads.pb.h"

#include "api/field_errors.hpp"
#include "api/kinds.hpp"
#include "api/kinds/rows.hpp"
#include "api/object.hpp"
#include "api/selectors.hpp"

/// What the kinds that make pods from a template have in common.
namespace podlab::api {

void applyPodTemplateDefaults(corev1::PodTemplateSpec& pod);
/// The template's labels, annotations and spec; its restart policy must be one of
/// `restartPolicies`.
void validatePodTemplate(const corev1::PodTemplateSpec& pod,
                         std::span<const std::string_view> restartPolicies, const FieldPath& path,
                         FieldErrors& errors);
/// The same for pods that run until they are deleted. `kind` as messages name it ("ReplicaSet").
void validateRunningTemplate(const corev1::PodTemplateSpec& pod, std::string_view kind,
                             const FieldPath& path, FieldErrors& errors);
/// That the selector does not match the template's labels; `path` is the spec's.
void selectorMismatch(const corev1::PodTemplateSpec& pod, const FieldPath& path,
                      FieldErrors& errors);
/// A workload's selector: there, well-formed, not empty, and one that its template's labels match.
/// `path` is the spec's, `kind` a word for messages ("deployment").
void validateWorkloadSelector(const metav1::LabelSelector& selector,
                              const corev1::PodTemplateSpec& pod, std::string_view kind,
                              const FieldPath& path, FieldErrors& errors);

/// What the specs with selector and template have in common: both, minReadySeconds, and containers
/// that always run again. `kind` as messages name it ("ReplicaSet").
template <typename Spec>
void validatePodsOfSpec(const Spec& spec, std::string_view kind, const FieldPath& path,
                        FieldErrors& errors) {
  errors.notNegative(path.child("minReadySeconds"), spec.minreadyseconds());
  validateRunningTemplate(spec.template_(), kind, path.child("template"), errors);
  if (spec.has_selector()) {
    validateWorkloadSelector(spec.selector(), spec.template_(), "deployment", path, errors);
  } else {
    errors.required(path.child("selector"));
    selectorMismatch(spec.template_(), path, errors);
  }
}
/// An apps/v1 selector never changes.
void validateSameSelector(const metav1::LabelSelector& now, const metav1::LabelSelector& before,
                          FieldErrors& errors);

/// The text form of a selector, "" for an empty one.
std::string selectorText(const metav1::LabelSelector& selector);
std::string selectorText(const Labels& selector);

/// The subresource scale of a kind with spec.replicas, spec.selector and status.replicas.
template <typename T>
Strategy::Scaling scalingOf() {
  return {
      .wanted = reads<T>([](const T& object) { return object.spec().replicas(); }),
      .setWanted =
          [](google::protobuf::Message& object, std::int32_t replicas) {
            static_cast<T&>(object).mutable_spec()->set_replicas(replicas);
          },
      .present = reads<T>([](const T& object) { return object.status().replicas(); }),
      .selector = reads<T>([](const T& object) { return selectorText(object.spec().selector()); })};
}

/// The field label status.replicas.
template <typename T>
auto replicasLabel() {
  return std::pair<std::string_view, std::function<std::string(const google::protobuf::Message&)>>(
      "status.replicas",
      reads<T>([](const T& object) { return std::to_string(object.status().replicas()); }));
}

/// Cells: the names of the containers, their images, a selector ("<none>" for an empty one).
std::string containerNamesCell(const corev1::PodTemplateSpec& pod);
std::string imagesCell(const corev1::PodTemplateSpec& pod);
std::string selectorCell(const metav1::LabelSelector& selector);

}  // namespace podlab::api
