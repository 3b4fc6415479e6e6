#include "cli/describe_object.hpp"

namespace podlab::cli {
namespace {

using autoscalingv2::MetricTarget;
using autoscalingv2::MetricValueStatus;

/// A resource's line: an average value, or a share of what the pods request.
void addResource(Description& out, const std::string& what, const MetricTarget& target,
                 const MetricValueStatus* now) {
  if (target.has_averagevalue()) {
    const std::string current = now ? now->averagevalue().string() : "<unknown>";
    out.line(1, {what + ":", current + " / " + target.averagevalue().string()});
    return;
  }
  std::string current = "<unknown>";
  if (now && now->has_averageutilization()) {
    current =
        std::to_string(now->averageutilization()) + "% (" + now->averagevalue().string() + ")";
  }
  out.line(1,
           {what + "  (as a percentage of request):",
            current + " / " +
                (target.has_averageutilization() ? std::to_string(target.averageutilization()) + "%"
                                                 : "<auto>")});
}

/// Any other metric's line: an average of the pods, or one value.
void addValue(Description& out, const std::string& what, const MetricTarget& target,
              const MetricValueStatus* now) {
  const bool average = target.has_averagevalue();
  const auto& wanted = average ? target.averagevalue() : target.value();
  std::string current = "<unknown>";
  if (now) current = average ? now->averagevalue().string() : now->value().string();
  out.line(1, {what + ":", current + " / " + wanted.string()});
}

void addMetric(Description& out, const autoscalingv2::MetricSpec& metric,
               const autoscalingv2::MetricStatus* status) {
  const auto quoted = [](const std::string& name) { return "\"" + name + "\""; };
  const auto kindOfTarget = [](const MetricTarget& target) {
    return target.has_averagevalue() ? " (target average value)" : " (target value)";
  };
  if (metric.has_resource()) {
    addResource(out, "resource " + metric.resource().name() + " on pods",
                metric.resource().target(), status ? &status->resource().current() : nullptr);
  } else if (metric.has_containerresource()) {
    const auto& source = metric.containerresource();
    addResource(
        out,
        "resource " + source.name() + " of container " + quoted(source.container()) + " on pods",
        source.target(), status ? &status->containerresource().current() : nullptr);
  } else if (metric.has_pods()) {
    addValue(out, quoted(metric.pods().metric().name()) + " on pods", metric.pods().target(),
             status ? &status->pods().current() : nullptr);
  } else if (metric.has_object()) {
    const auto& source = metric.object();
    addValue(out,
             quoted(source.metric().name()) + " on " + source.describedobject().kind() + "/" +
                 source.describedobject().name() + kindOfTarget(source.target()),
             source.target(), status ? &status->object().current() : nullptr);
  } else if (metric.has_external()) {
    const auto& source = metric.external();
    addValue(out, quoted(source.metric().name()) + kindOfTarget(source.target()), source.target(),
             status ? &status->external().current() : nullptr);
  }
}

void addRules(Description& out, const char* direction,
              const autoscalingv2::HPAScalingRules& rules) {
  out.line(1, {std::string(direction) + ":"});
  if (rules.has_stabilizationwindowseconds()) {
    out.line(2, {"Stabilization Window: " + std::to_string(rules.stabilizationwindowseconds()) +
                 " seconds"});
  }
  if (rules.policies().empty()) return;
  out.line(2, {"Select Policy: " + orNone(rules.selectpolicy(), "Max")});
  out.line(2, {"Policies:"});
  for (const auto& policy : rules.policies()) {
    out.line(3, {"- Type: " + policy.type(), "Value: " + std::to_string(policy.value()),
                 "Period: " + std::to_string(policy.periodseconds()) + " seconds"});
  }
}

}  // namespace

Description describeAutoscaler(const autoscalingv2::HorizontalPodAutoscaler& scaler) {
  const auto& spec = scaler.spec();
  const auto& status = scaler.status();
  Description out;
  out.identity(scaler.metadata(), true);
  out.field(0, "CreationTimestamp", formatDate(scaler.metadata().creationtimestamp()));
  const auto& target = spec.scaletargetref();
  out.field(0, "Reference", target.kind() + "/" + target.name());
  out.field(0, "Metrics", "( current / target )");
  for (int i = 0; i < spec.metrics_size(); ++i) {
    const bool known = i < status.currentmetrics_size() && !status.currentmetrics(i).type().empty();
    addMetric(out, spec.metrics(i), known ? &status.currentmetrics(i) : nullptr);
  }
  out.field(0, "Min replicas", orUnset(spec.has_minreplicas(), spec.minreplicas()));
  out.field(0, "Max replicas", std::to_string(spec.maxreplicas()));
  if (spec.has_behavior()) {
    out.line(0, {"Behavior:"});
    if (spec.behavior().has_scaleup()) addRules(out, "Scale Up", spec.behavior().scaleup());
    if (spec.behavior().has_scaledown()) addRules(out, "Scale Down", spec.behavior().scaledown());
  }
  out.field(0, target.kind() + " pods",
            std::to_string(status.currentreplicas()) + " current / " +
                std::to_string(status.desiredreplicas()) + " desired");
  out.conditions(status.conditions(), true);
  return out;
}

}  // namespace podlab::cli
