#include "autoscaling_v2.pb.h"

#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/quantity.hpp"

namespace podlab::api {
namespace {

using autoscalingv2::HorizontalPodAutoscaler;
using autoscalingv2::HPAScalingRules;
using autoscalingv2::MetricSpec;
using autoscalingv2::MetricStatus;
using autoscalingv2::MetricTarget;

constexpr int kDefaultCpuUtilization = 80;
constexpr int kDefaultPeriod = 15;
constexpr int kMaxPeriod = 1800;
constexpr int kMaxWindow = 3600;

void addPolicy(HPAScalingRules& rules, const char* type, int value) {
  auto& policy = *rules.add_policies();
  policy.set_type(type);
  policy.set_value(value);
  policy.set_periodseconds(kDefaultPeriod);
}

/// Upstream: pkg/apis/autoscaling/v2/defaults.go.
void applyDefaults(HorizontalPodAutoscaler& object) {
  auto& spec = *object.mutable_spec();
  if (!spec.has_minreplicas()) spec.set_minreplicas(1);
  if (spec.metrics().empty()) {
    auto& metric = *spec.add_metrics();
    metric.set_type("Resource");
    metric.mutable_resource()->set_name("cpu");
    metric.mutable_resource()->mutable_target()->set_type("Utilization");
    metric.mutable_resource()->mutable_target()->set_averageutilization(kDefaultCpuUtilization);
  }
  if (!spec.has_behavior()) return;
  auto& up = *spec.mutable_behavior()->mutable_scaleup();
  auto& down = *spec.mutable_behavior()->mutable_scaledown();
  if (!up.has_stabilizationwindowseconds()) up.set_stabilizationwindowseconds(0);
  if (up.policies().empty()) {
    addPolicy(up, "Pods", 4);
    addPolicy(up, "Percent", 100);
  }
  if (down.policies().empty()) addPolicy(down, "Percent", 100);
  for (auto* rules : {&up, &down}) {
    if (!rules->has_selectpolicy()) rules->set_selectpolicy("Max");
  }
}

void validatePositive(const resourcev1::Quantity& quantity, const FieldPath& path,
                      FieldErrors& errors) {
  const auto parsed = Quantity::parse(quantity);
  if (!parsed) {
    errors.invalid(path, quantity.string(), parsed.status().message());
  } else if (parsed->isZero() || parsed->isNegative()) {
    errors.invalid(path, quantity.string(), "must be positive");
  }
}

void validateTarget(const MetricTarget& target, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kTypes[] = {"AverageValue", "Utilization", "Value"};
  errors.oneOf(path.child("type"), target.type(), kTypes);
  if (target.has_value()) validatePositive(target.value(), path.child("value"), errors);
  if (target.has_averagevalue())
    validatePositive(target.averagevalue(), path.child("averageValue"), errors);
  if (target.has_averageutilization() && target.averageutilization() < 1) {
    errors.invalid(path.child("averageUtilization"), std::int64_t{target.averageutilization()},
                   "must be greater than 0");
  }
}

/// Of one resource, of pods or of one container in each.
void validateResource(const std::string& name, const MetricTarget& target, const FieldPath& path,
                      FieldErrors& errors) {
  if (name.empty()) errors.required(path.child("name"), "must specify a resource name");
  const FieldPath at = path.child("target");
  validateTarget(target, at, errors);
  if (!target.has_averageutilization() && !target.has_averagevalue()) {
    errors.required(at.child("averageUtilization"),
                    "must set either a target raw value or a target utilization");
  } else if (target.has_averageutilization() && target.has_averagevalue()) {
    errors.forbidden(at.child("averageValue"),
                     "may not set both a target raw value and a target utilization");
  }
}

void validateMetric(const MetricSpec& metric, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kTypes[] = {"ContainerResource", "External", "Object", "Pods",
                                         "Resource"};
  const std::string& type = metric.type();
  errors.oneOf(path.child("type"), type, kTypes);
  const std::pair<const char*, bool> sources[] = {
      {"ContainerResource", metric.has_containerresource()},
      {"External", metric.has_external()},
      {"Object", metric.has_object()},
      {"Pods", metric.has_pods()},
      {"Resource", metric.has_resource()}};
  for (const auto& [name, given] : sources) {
    std::string field = name;
    field.front() = static_cast<char>(field.front() - 'A' + 'a');
    if (name == type && !given) {
      errors.required(path.child(field), "must populate information for the given metric source");
    } else if (name != type && given) {
      errors.forbidden(path.child(field), "must populate the given metric source only");
    }
  }
  if (metric.has_resource())
    validateResource(metric.resource().name(), metric.resource().target(), path.child("resource"),
                     errors);
  if (metric.has_containerresource()) {
    const auto& source = metric.containerresource();
    const FieldPath at = path.child("containerResource");
    if (source.container().empty())
      errors.required(at.child("container"), "must specify a container");
    validateResource(source.name(), source.target(), at, errors);
  }
  if (metric.has_pods())
    validateTarget(metric.pods().target(), path.child("pods").child("target"), errors);
  if (metric.has_object())
    validateTarget(metric.object().target(), path.child("object").child("target"), errors);
  if (metric.has_external())
    validateTarget(metric.external().target(), path.child("external").child("target"), errors);
}

void validateRules(const HPAScalingRules& rules, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kSelects[] = {"Disabled", "Max", "Min"};
  constexpr std::string_view kTypes[] = {"Percent", "Pods"};
  const auto bounded = [&](const FieldPath& at, std::int64_t value, std::int64_t max) {
    if (value > max)
      errors.invalid(at, value, "must be less than or equal to " + std::to_string(max));
  };
  const auto positive = [&](const FieldPath& at, std::int64_t value) {
    if (value <= 0) errors.invalid(at, value, "must be greater than zero");
  };
  errors.notNegative(path.child("stabilizationWindowSeconds"), rules.stabilizationwindowseconds());
  bounded(path.child("stabilizationWindowSeconds"), rules.stabilizationwindowseconds(), kMaxWindow);
  errors.oneOf(path.child("selectPolicy"), rules.selectpolicy(), kSelects);
  if (rules.policies().empty())
    errors.required(path.child("policies"), "must specify at least one Policy");
  forEach(rules.policies(), path.child("policies"), [&](const auto& policy, const FieldPath& at) {
    errors.oneOf(at.child("type"), policy.type(), kTypes);
    positive(at.child("value"), policy.value());
    positive(at.child("periodSeconds"), policy.periodseconds());
    bounded(at.child("periodSeconds"), policy.periodseconds(), kMaxPeriod);
  });
}

/// Upstream: pkg/apis/autoscaling/validation.
std::vector<Cause> validate(const HorizontalPodAutoscaler& object) {
  const auto& spec = object.spec();
  const FieldPath path("spec");
  FieldErrors errors;
  if (spec.minreplicas() < 1) {
    errors.invalid(path.child("minReplicas"), std::int64_t{spec.minreplicas()},
                   "must be greater than or equal to 1");
  }
  if (spec.maxreplicas() < 1) {
    errors.invalid(path.child("maxReplicas"), std::int64_t{spec.maxreplicas()},
                   "must be greater than 0");
  } else if (spec.maxreplicas() < spec.minreplicas()) {
    errors.invalid(path.child("maxReplicas"), std::int64_t{spec.maxreplicas()},
                   "must be greater than or equal to `minReplicas`");
  }
  const FieldPath target = path.child("scaleTargetRef");
  if (spec.scaletargetref().kind().empty()) errors.required(target.child("kind"));
  if (spec.scaletargetref().name().empty()) errors.required(target.child("name"));
  forEach(spec.metrics(), path.child("metrics"),
          [&](const auto& metric, const FieldPath& at) { validateMetric(metric, at, errors); });
  if (spec.has_behavior()) {
    validateRules(spec.behavior().scaleup(), path.child("behavior").child("scaleUp"), errors);
    validateRules(spec.behavior().scaledown(), path.child("behavior").child("scaleDown"), errors);
  }
  return errors.take();
}

std::string amountOf(const resourcev1::Quantity& quantity) {
  return Quantity::read(quantity).toString();
}

/// "cpu: 42%/80%".
template <typename Source, typename Current>
std::string resourceCell(const Source& source, const Current* current) {
  const auto& target = source.target();
  std::string now = "<unknown>";
  if (target.has_averagevalue()) {
    if (current != nullptr) now = amountOf(current->current().averagevalue());
    return source.name() + ": " + now + "/" + amountOf(target.averagevalue());
  }
  if (current != nullptr && current->current().has_averageutilization())
    now = std::to_string(current->current().averageutilization()) + "%";
  return source.name() + ": " + now + "/" +
         (target.has_averageutilization() ? std::to_string(target.averageutilization()) + "%"
                                          : "<auto>");
}

std::string metricCell(const MetricSpec& metric, const MetricStatus* current) {
  if (metric.has_resource()) {
    const bool known = current != nullptr && current->has_resource();
    return resourceCell(metric.resource(), known ? &current->resource() : nullptr);
  }
  if (metric.has_containerresource()) {
    const bool known = current != nullptr && current->has_containerresource();
    return resourceCell(metric.containerresource(),
                        known ? &current->containerresource() : nullptr);
  }
  const auto& target = metric.has_pods()     ? metric.pods().target()
                       : metric.has_object() ? metric.object().target()
                                             : metric.external().target();
  return "<unknown>/" +
         amountOf(target.has_averagevalue() ? target.averagevalue() : target.value());
}

std::string targetsCell(const HorizontalPodAutoscaler& object) {
  constexpr int kShown = 2;
  const auto& metrics = object.spec().metrics();
  std::string text;
  for (int i = 0; i < std::min(metrics.size(), kShown); ++i) {
    const bool known = i < object.status().currentmetrics_size();
    text += (i == 0 ? "" : ", ") +
            metricCell(metrics[i], known ? &object.status().currentmetrics(i) : nullptr);
  }
  if (metrics.size() > kShown) text += " + " + std::to_string(metrics.size() - kShown) + " more...";
  return text.empty() ? "<none>" : text;
}

}  // namespace

Kind horizontalPodAutoscalerKind() {
  using Hpa = HorizontalPodAutoscaler;
  return {
      .group = "autoscaling",
      .version = "v2",
      .kind = "HorizontalPodAutoscaler",
      .plural = "horizontalpodautoscalers",
      .singular = "horizontalpodautoscaler",
      .shortNames = {"hpa"},
      .categories = {"all"},
      .scope = Scope::kNamespaced,
      .prototype = &Hpa::default_instance(),
      .columns = {nameColumn(),
                  column<Hpa>("Reference", 0,
                              [](const Hpa& object) {
                                const auto& target = object.spec().scaletargetref();
                                return target.kind() + "/" + target.name();
                              }),
                  column<Hpa>("Targets", 0, targetsCell),
                  column<Hpa>("MinPods", 0,
                              [](const Hpa& object) {
                                return std::to_string(object.spec().minreplicas());
                              }),
                  column<Hpa>("MaxPods", 0,
                              [](const Hpa& object) {
                                return std::to_string(object.spec().maxreplicas());
                              }),
                  column<Hpa>("Replicas", 0,
                              [](const Hpa& object) {
                                return std::to_string(object.status().currentreplicas());
                              }),
                  ageColumn()},
      .strategy = {.hasStatus = true,
                   .applyDefaults = writes<Hpa>(applyDefaults),
                   .prepareForCreate = writes<Hpa>([](Hpa& object) { object.clear_status(); }),
                   .validate = reads<Hpa>(validate)},
  };
}

}  // namespace podlab::api
