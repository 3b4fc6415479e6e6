#include "api/kinds/pod_parts.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

std::string joined(const Faults& faults) {
  std::string text;
  for (const std::string& fault : faults) text += (text.empty() ? "" : ";") + fault;
  return text;
}

void validate(const corev1::Toleration& toleration, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kOperators[] = {"Equal", "Exists"};
  const std::string& op = toleration.operator_();
  if (!toleration.key().empty()) {
    errors.invalidEach(path.child("key"), toleration.key(),
                       faultsOfQualifiedName(toleration.key()));
  } else if (op != "Exists") {
    errors.invalid(path.child("operator"), op,
                   "operator must be Exists when `key` is empty, which means \"match all values "
                   "and all keys\"");
  }
  if (toleration.has_tolerationseconds() && toleration.effect() != kNoExecute) {
    errors.invalid(path.child("effect"), toleration.effect(),
                   "effect must be 'NoExecute' when `tolerationSeconds` is set");
  }
  if (op.empty() || op == "Equal") {
    const Faults faults = faultsOfLabelValue(toleration.value());
    if (!faults.empty()) errors.invalid(path.child("operator"), toleration.value(), joined(faults));
  } else if (op == "Exists") {
    if (!toleration.value().empty()) {
      errors.invalid(path.child("operator"), toleration.value(),
                     "value must be empty when `operator` is 'Exists'");
    }
  } else {
    errors.notSupported(path.child("operator"), op, kOperators);
  }
  if (!toleration.effect().empty()) {
    validateTaintEffect(toleration.effect(), path.child("effect"), errors);
  }
}

void validateExpression(const corev1::NodeSelectorRequirement& requirement, const FieldPath& path,
                        FieldErrors& errors) {
  const std::string& op = requirement.operator_();
  const FieldPath values = path.child("values");
  if (op == "In" || op == "NotIn") {
    if (requirement.values().empty()) {
      errors.required(values, "must be specified when `operator` is 'In' or 'NotIn'");
    }
  } else if (op == "Exists" || op == "DoesNotExist") {
    if (!requirement.values().empty()) {
      errors.forbidden(values,
                       "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }
  } else if (op == "Gt" || op == "Lt") {
    if (requirement.values_size() != 1) {
      errors.required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
    }
  } else {
    errors.invalid(path.child("operator"), op, "not a valid selector operator");
  }
  errors.invalidEach(path.child("key"), requirement.key(),
                     faultsOfQualifiedName(requirement.key()));
  forEach(requirement.values(), values, [&](const std::string& value, const FieldPath& at) {
    errors.invalidEach(at, value, faultsOfLabelValue(value));
  });
}

void validateField(const corev1::NodeSelectorRequirement& requirement, const FieldPath& path,
                   FieldErrors& errors) {
  const std::string& op = requirement.operator_();
  if (op != "In" && op != "NotIn") {
    errors.invalid(path.child("operator"), op, "not a valid selector operator");
  } else if (requirement.values_size() != 1) {
    errors.required(
        path.child("values"),
        "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
  }
  if (requirement.key() != "metadata.name") {
    errors.invalid(path.child("key"), requirement.key(), "not a valid field selector key");
    return;
  }
  forEach(requirement.values(), path.child("values"),
          [&](const std::string& value, const FieldPath& at) {
            errors.invalidEach(at, value, faultsOfDns1123Subdomain(value));
          });
}

void validate(const corev1::NodeSelectorTerm& term, const FieldPath& path, FieldErrors& errors) {
  forEach(term.matchexpressions(), path.child("matchExpressions"),
          [&](const auto& requirement, const FieldPath& at) {
            validateExpression(requirement, at, errors);
          });
  forEach(term.matchfields(), path.child("matchFields"),
          [&](const auto& requirement, const FieldPath& at) {
            validateField(requirement, at, errors);
          });
}

void validateWeight(int weight, const FieldPath& path, FieldErrors& errors) {
  if (weight < 1 || weight > 100) errors.invalid(path, weight, "must be in the range 1-100");
}

void validate(const corev1::NodeAffinity& affinity, const FieldPath& path, FieldErrors& errors) {
  if (affinity.has_requiredduringschedulingignoredduringexecution()) {
    const auto& required = affinity.requiredduringschedulingignoredduringexecution();
    const FieldPath terms =
        path.child("requiredDuringSchedulingIgnoredDuringExecution").child("nodeSelectorTerms");
    if (required.nodeselectorterms().empty()) {
      errors.required(terms, "must have at least one node selector term");
    }
    forEach(required.nodeselectorterms(), terms,
            [&](const auto& term, const FieldPath& at) { validate(term, at, errors); });
  }
  forEach(affinity.preferredduringschedulingignoredduringexecution(),
          path.child("preferredDuringSchedulingIgnoredDuringExecution"),
          [&](const corev1::PreferredSchedulingTerm& term, const FieldPath& at) {
            validateWeight(term.weight(), at.child("weight"), errors);
            validate(term.preference(), at.child("preference"), errors);
          });
}

void validate(const corev1::PodAffinityTerm& term, const FieldPath& path, FieldErrors& errors) {
  if (term.topologykey().empty()) {
    errors.required(path.child("topologyKey"), "can not be empty");
  } else {
    errors.invalidEach(path.child("topologyKey"), term.topologykey(),
                       faultsOfQualifiedName(term.topologykey()));
  }
  const auto selector = LabelSelector::of(term.labelselector());
  if (!selector) errors.invalid(path.child("labelSelector"), "", selector.status().message());
}

/// PodAffinity or PodAntiAffinity: they have the same fields.
template <typename Affinity>
void validatePods(const Affinity& affinity, const FieldPath& path, FieldErrors& errors) {
  forEach(affinity.requiredduringschedulingignoredduringexecution(),
          path.child("requiredDuringSchedulingIgnoredDuringExecution"),
          [&](const auto& term, const FieldPath& at) { validate(term, at, errors); });
  forEach(affinity.preferredduringschedulingignoredduringexecution(),
          path.child("preferredDuringSchedulingIgnoredDuringExecution"),
          [&](const corev1::WeightedPodAffinityTerm& term, const FieldPath& at) {
            validateWeight(term.weight(), at.child("weight"), errors);
            validate(term.podaffinityterm(), at.child("podAffinityTerm"), errors);
          });
}

}  // namespace

void validateTolerations(const Tolerations& tolerations, const FieldPath& path,
                         FieldErrors& errors) {
  forEach(tolerations, path, [&](const corev1::Toleration& toleration, const FieldPath& at) {
    validate(toleration, at, errors);
  });
}

void validateAffinity(const corev1::Affinity& affinity, const FieldPath& path,
                      FieldErrors& errors) {
  validate(affinity.nodeaffinity(), path.child("nodeAffinity"), errors);
  validatePods(affinity.podaffinity(), path.child("podAffinity"), errors);
  validatePods(affinity.podantiaffinity(), path.child("podAntiAffinity"), errors);
}

}  // namespace podlab::api
