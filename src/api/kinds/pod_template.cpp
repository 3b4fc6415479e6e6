#include "api/kinds/pod_template.hpp"

#include "api/codec.hpp"
#include "api/kinds/pod_parts.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"
#include "api/selectors.hpp"

namespace podlab::api {
namespace {}  // namespace

void applyPodTemplateDefaults(corev1::PodTemplateSpec& pod) {
  applyPodSpecDefaults(*pod.mutable_spec());
}

void validatePodTemplate(const corev1::PodTemplateSpec& pod,
                         std::span<const std::string_view> restartPolicies, const FieldPath& path,
                         FieldErrors& errors) {
  const FieldPath spec = path.child("spec");
  validateLabels(pod.metadata().labels(), path.child("labels"), errors);
  validatePodSpec(pod.spec(), spec, errors);
  errors.oneOf(spec.child("restartPolicy"), pod.spec().restartpolicy(), restartPolicies);
}

void validateWorkloadSelector(const metav1::LabelSelector& selector,
                              const corev1::PodTemplateSpec& pod, std::string_view kind,
                              const FieldPath& path, FieldErrors& errors) {
  const FieldPath at = path.child("selector");
  if (selector.matchlabels().empty() && selector.matchexpressions().empty()) {
    errors.invalidJson(at, "{}", "empty selector is invalid for " + std::string(kind));
    return;
  }
  const auto parsed = LabelSelector::of(selector);
  if (!parsed) {
    errors.invalid(at, "", parsed.status().message());
    return;
  }
  if (!parsed->matches(pod.metadata().labels())) selectorMismatch(pod, path, errors);
}

void selectorMismatch(const corev1::PodTemplateSpec& pod, const FieldPath& path,
                      FieldErrors& errors) {
  std::string labels;
  for (const auto& key : sortedKeys(pod.metadata().labels())) {
    if (!labels.empty()) labels += ',';
    labels += quoted(key) + ':' + quoted(pod.metadata().labels().at(key));
  }
  errors.invalidJson(path.child("template").child("metadata").child("labels"), "{" + labels + "}",
                     "`selector` does not match template `labels`");
}

void validateRunningTemplate(const corev1::PodTemplateSpec& pod, std::string_view kind,
                             const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kPolicies[] = {"Always"};
  validatePodTemplate(pod, kPolicies, path, errors);
  if (pod.spec().has_activedeadlineseconds()) {
    errors.forbidden(path.child("spec").child("activeDeadlineSeconds"),
                     "activeDeadlineSeconds in " + std::string(kind) + " is not Supported");
  }
}

void validateSameSelector(const metav1::LabelSelector& now, const metav1::LabelSelector& before,
                          FieldErrors& errors) {
  if (!sameMessage(now, before))
    errors.invalidJson(FieldPath("spec.selector"), toJson(now), kImmutable);
}

std::string selectorText(const metav1::LabelSelector& selector) {
  const auto parsed = LabelSelector::of(selector);
  return parsed ? parsed->toString() : "";
}

std::string selectorText(const Labels& selector) {
  metav1::LabelSelector whole;
  *whole.mutable_matchlabels() = selector;
  return selectorText(whole);
}

std::string containerNamesCell(const corev1::PodTemplateSpec& pod) {
  return joined(pod.spec().containers(), [](const auto& container) { return container.name(); });
}

std::string imagesCell(const corev1::PodTemplateSpec& pod) {
  return joined(pod.spec().containers(), [](const auto& container) { return container.image(); });
}

std::string selectorCell(const metav1::LabelSelector& selector) {
  const std::string text = selectorText(selector);
  return text.empty() ? "<none>" : text;
}

}  // namespace podlab::api
