#include "controllers/horizontal_autoscaler.hpp"

#include <algorithm>
#include <utility>

#include "metrics_v1beta1.pb.h"

#include "api/kinds.hpp"
#include "api/quantity.hpp"
#include "api/times.hpp"
#include "common/log.hpp"

namespace podlab::controllers {
namespace {

constexpr std::size_t kWorkers = 5;
constexpr Duration kPeriod = std::chrono::seconds(15);
constexpr const char* kAbleToScale = "AbleToScale";
constexpr const char* kScalingActive = "ScalingActive";
constexpr const char* kScalingLimited = "ScalingLimited";

resourcev1::Quantity ofMilli(std::int64_t milli) {
  return api::Quantity::ofMilli(milli).toMessage();
}

api::ResourceId targetOf(const autoscalingv2::HorizontalPodAutoscaler& hpa) {
  const auto& target = hpa.spec().scaletargetref();
  return {api::findKind(target.apiversion(), target.kind()), hpa.metadata().namespace_(),
          target.name(), "scale"};
}

void setTolerance(const autoscalingv2::HPAScalingRules& rules, double& tolerance) {
  if (rules.has_tolerance())
    tolerance = static_cast<double>(api::Quantity::read(rules.tolerance()).milliValue()) / 1000;
}

AutoscalingTarget asTarget(const std::string& resource, const std::string& container,
                           const autoscalingv2::MetricTarget& target,
                           const autoscalingv2::HorizontalPodAutoscalerBehavior& behavior) {
  AutoscalingTarget made;
  made.resource = resource;
  made.container = container;
  if (target.has_averagevalue()) {
    made.averageMilli = api::Quantity::read(target.averagevalue()).milliValue();
  } else {
    made.utilization = target.averageutilization();
  }
  setTolerance(behavior.scaleup(), made.toleranceUp);
  setTolerance(behavior.scaledown(), made.toleranceDown);
  return made;
}

}  // namespace

HorizontalAutoscaler::HorizontalAutoscaler(Context& context, client::EventRecorder& events)
    : context_(context),
      autoscalers_(*context.caches.of(api::kindFor<Hpa>())),
      events_(events),
      reconciler_("horizontal_autoscaler", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  client::Informer::Handlers handlers;
  handlers.added = [this](const api::ObjectPtr& hpa) { reconciler_.add(api::keyOf(*hpa)); };
  handlers.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    const auto& old = api::as<Hpa>(before).spec();
    if (old.SerializeAsString() != api::as<Hpa>(now).spec().SerializeAsString())
      reconciler_.add(api::keyOf(*now));
  };
  handlers.deleted = [this](const api::ObjectPtr& hpa) { histories_.erase(api::keyOf(*hpa)); };
  autoscalers_.addHandlers(std::move(handlers));
}

void HorizontalAutoscaler::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

void HorizontalAutoscaler::say(Hpa& hpa, const char* type, bool is, std::string reason,
                               std::string message) {
  using Condition = autoscalingv2::HorizontalPodAutoscalerCondition;
  auto& conditions = *hpa.mutable_status()->mutable_conditions();
  const auto found = std::ranges::find(conditions, type, &Condition::type);
  Condition& condition = found == conditions.end() ? *conditions.Add() : *found;
  const std::string status = is ? "True" : "False";
  if (condition.status() != status)
    *condition.mutable_lasttransitiontime() = api::toTime(context_.clock.wallNow());
  condition.set_type(type);
  condition.set_status(status);
  condition.set_reason(std::move(reason));
  condition.set_message(std::move(message));
}

Co<Status> HorizontalAutoscaler::reconcile(std::string key) {
  const auto cached = autoscalers_.get(key);
  if (!cached) co_return Status();
  // The next measurement, whatever becomes of this one.
  reconciler_.addAfter(key, kPeriod);
  auto next = std::make_shared<Hpa>(api::as<Hpa>(cached));
  next->mutable_metadata()->clear_resourceversion();
  const Status failed = co_await autoscale(*next, key);
  if (!failed) {
    logDebug("autoscaling_failed", {{"autoscaler", key}, {"error", failed}});
  }
  api::ResourceId id{&api::kindFor<Hpa>(), next->metadata().namespace_(), next->metadata().name(),
                     "status"};
  api::WriteOptions options;
  auto written = co_await context_.api.update(std::move(id), next, std::move(options));
  co_return unlessGone(written.status());
}

Co<Result<std::shared_ptr<const autoscalingv1::Scale>>> HorizontalAutoscaler::scaleOf(Hpa hpa) {
  api::ResourceId id = targetOf(hpa);
  const auto& target = hpa.spec().scaletargetref();
  if (id.kind == nullptr) {
    co_return Status(Code::kNotFound, "no matches for kind \"" + target.kind() +
                                          "\" in version \"" + target.apiversion() + "\"");
  }
  auto read = co_await context_.api.get(std::move(id));
  if (!read) co_return read.status();
  auto scale = std::dynamic_pointer_cast<const Scale>(*read);
  if (!scale) {
    co_return Status(Code::kNotFound, "the server could not find the requested resource");
  }
  co_return scale;
}

Co<Status> HorizontalAutoscaler::autoscale(Hpa& hpa, std::string key) {
  const auto& spec = hpa.spec();
  auto scale = co_await scaleOf(hpa);
  if (!scale) {
    events_.record(hpa, client::EventClass::kWarning, "FailedGetScale", scale.status().message());
    say(hpa, kAbleToScale, false, "FailedGetScale",
        "the HPA controller was unable to get the target's current scale: " +
            scale.status().message());
    co_return scale.status();
  }
  say(hpa, kAbleToScale, true, "SucceededGetScale",
      "the HPA controller was able to get the target's current scale");
  const std::int32_t current = (*scale)->spec().replicas();
  auto& status = *hpa.mutable_status();
  status.set_currentreplicas(current);
  auto& history = histories_[key];
  // The size at the start counts as recommended.
  if (history.recommendations.empty())
    history.recommendations.push_back({context_.clock.now(), current});
  std::int32_t desired = current;
  std::string reason;
  Status failure;
  if (current == 0) {
    status.set_desiredreplicas(0);
    say(hpa, kScalingActive, false, "ScalingDisabled",
        "scaling is disabled since the replica count of the target is zero");
    co_return Status();
  }
  if (current > spec.maxreplicas()) {
    reason = "Current number of replicas above Spec.MaxReplicas";
    desired = spec.maxreplicas();
  } else if (current < spec.minreplicas()) {
    reason = "Current number of replicas below Spec.MinReplicas";
    desired = spec.minreplicas();
  } else {
    const Recommendation wanted = co_await recommend(hpa, *scale);
    failure = wanted.failure;
    if (wanted.replicas < 0) {
      events_.record(hpa, client::EventClass::kWarning, "FailedComputeMetricsReplicas",
                     failure.message());
      co_return failure;
    }
    reason =
        wanted.replicas > current ? wanted.metric + " above target" : "All metrics below target";
    const LimitedSize size =
        limitSize(spec, history, current, wanted.replicas, context_.clock.now());
    say(hpa, kAbleToScale, true, size.stableReason, size.stableMessage);
    say(hpa, kScalingLimited, size.limited, size.limitReason, size.limitMessage);
    desired = size.replicas;
  }
  status.set_desiredreplicas(desired);
  if (desired != current) {
    const Status failed = co_await rescale(hpa, *scale, desired, std::move(reason), key);
    if (!failed) co_return failed;
  }
  co_return failure;
}

Co<Status> HorizontalAutoscaler::rescale(Hpa& hpa, std::shared_ptr<const Scale> scale,
                                         std::int32_t desired, std::string reason,
                                         std::string key) {
  auto next = std::make_shared<Scale>(*scale);
  next->mutable_spec()->set_replicas(desired);
  const std::string told = "New size: " + std::to_string(desired) + "; reason: " + reason;
  api::ResourceId id = targetOf(hpa);
  api::WriteOptions options;
  auto written = co_await context_.api.update(std::move(id), next, std::move(options));
  if (!written) {
    const std::string& error = written.status().message();
    events_.record(hpa, client::EventClass::kWarning, "FailedRescale", told + "; error: " + error);
    say(hpa, kAbleToScale, false, "FailedUpdateScale",
        "the HPA controller was unable to update the target scale: " + error);
    hpa.mutable_status()->set_desiredreplicas(scale->spec().replicas());
    co_return written.status();
  }
  say(hpa, kAbleToScale, true, "SucceededRescale",
      "the HPA controller was able to update the target scale to " + std::to_string(desired));
  events_.record(hpa, client::EventClass::kNormal, "SuccessfulRescale", told);
  recordScaling(histories_[key], scale->spec().replicas(), desired, context_.clock.now());
  *hpa.mutable_status()->mutable_lastscaletime() = api::toTime(context_.clock.wallNow());
  co_return Status();
}

Co<HorizontalAutoscaler::Recommendation> HorizontalAutoscaler::recommend(
    Hpa& hpa, std::shared_ptr<const Scale> scale) {
  Recommendation made;
  const std::string selector = scale->status().selector();
  if (selector.empty()) {
    made.failure = Status(Code::kInvalid, "selector is required");
    events_.record(hpa, client::EventClass::kWarning, "SelectorRequired", "");
    say(hpa, kScalingActive, false, "InvalidSelector",
        "the HPA target's scale is missing a selector");
    co_return made;
  }
  const std::int32_t current = scale->spec().replicas();
  const int count = hpa.spec().metrics_size();
  int invalid = 0;
  std::string invalidReason;
  Status first;
  std::vector<autoscalingv2::MetricStatus> statuses;
  for (const auto& spec : hpa.spec().metrics()) {
    autoscalingv2::MetricSpec metric = spec;
    auto measured =
        co_await measure(std::move(metric), hpa.metadata().namespace_(), selector, current, hpa);
    autoscalingv2::MetricStatus status;
    if (measured) {
      status = measured->status;
      if (measured->proposal.replicas > made.replicas) {
        made.replicas = measured->proposal.replicas;
        made.metric = measured->name;
      }
    } else {
      const std::string reason = "FailedGet" + spec.type() + "Metric";
      events_.record(hpa, client::EventClass::kWarning, reason, measured.status().message());
      if (invalid++ == 0) {
        invalidReason = reason;
        first = measured.status();
      }
    }
    statuses.push_back(std::move(status));
  }
  auto& kept = *hpa.mutable_status()->mutable_currentmetrics();
  kept.Clear();
  for (auto& status : statuses) *kept.Add() = std::move(status);
  if (invalid > 0) {
    made.failure =
        Status(Code::kInvalid, "invalid metrics (" + std::to_string(invalid) + " invalid out of " +
                                   std::to_string(count) + "), first error is: " + first.message());
  }
  // What is not known does not make anything smaller.
  if (invalid == count || (invalid > 0 && made.replicas < current)) {
    made.replicas = -1;
    say(hpa, kScalingActive, false, invalidReason,
        "the HPA was unable to compute the replica count: " + first.message());
  } else {
    say(hpa, kScalingActive, true, "ValidMetricFound",
        "the HPA was able to successfully calculate a replica count from " + made.metric);
  }
  co_return made;
}

Co<Result<HorizontalAutoscaler::Measured>> HorizontalAutoscaler::measure(
    autoscalingv2::MetricSpec metric, std::string ns, std::string selector, std::int32_t current,
    Hpa hpa) {
  if (!metric.has_resource() && !metric.has_containerresource()) {
    co_return Status(Code::kInvalid,
                     "unable to fetch metrics from " +
                         std::string(metric.has_external() ? "external" : "custom") +
                         " metrics API: no such API is registered");
  }
  const bool ofContainer = metric.has_containerresource();
  const auto& behavior = hpa.spec().behavior();
  const AutoscalingTarget target =
      ofContainer
          ? asTarget(metric.containerresource().name(), metric.containerresource().container(),
                     metric.containerresource().target(), behavior)
          : asTarget(metric.resource().name(), "", metric.resource().target(), behavior);
  const std::string what = target.utilization ? " utilization: " : " usage: ";
  const auto fail = [&](const Status& status) {
    return Status(status.code(), "failed to get " + target.resource + what + status.message());
  };
  AutoscalingTarget asked = target;
  auto metrics = co_await metricsOf(std::move(asked), ns, selector);
  if (!metrics) co_return fail(metrics.status());
  api::ResourceId id{&api::kindFor<corev1::Pod>(), ns, "", ""};
  api::ListOptions options;
  options.labelSelector = selector;
  auto pods = co_await context_.api.list(std::move(id), std::move(options));
  if (!pods) co_return fail(pods.status());
  const auto proposal =
      proposeReplicas(target, pods->objects(), std::move(*metrics), current, context_.clock.wallNow());
  if (!proposal) co_return fail(proposal.status());
  Measured made{
      *proposal, target.resource + (ofContainer ? " container resource" : " resource"), {}};
  if (target.utilization) made.name += " utilization (percentage of request)";
  made.status.set_type(metric.type());
  const auto fill = [&](auto& status) {
    status.set_name(target.resource);
    *status.mutable_current()->mutable_averagevalue() = ofMilli(proposal->averageMilli);
    if (proposal->utilization)
      status.mutable_current()->set_averageutilization(*proposal->utilization);
  };
  if (ofContainer) {
    fill(*made.status.mutable_containerresource());
    made.status.mutable_containerresource()->set_container(target.container);
  } else {
    fill(*made.status.mutable_resource());
  }
  co_return made;
}

Co<Result<PodMetrics>> HorizontalAutoscaler::metricsOf(AutoscalingTarget target, std::string ns,
                                                       std::string selector) {
  const std::string context = "unable to get metrics for resource " + target.resource + ": ";
  api::ResourceId id{&api::kindFor<metricsv1beta1::PodMetrics>(), ns, "", ""};
  api::ListOptions options;
  options.labelSelector = selector;
  auto listed = co_await context_.api.list(std::move(id), std::move(options));
  if (!listed) co_return Status(listed.status().code(), context + listed.status().message());
  PodMetrics made;
  for (const auto& object : listed->items) {
    const auto& pod = api::as<metricsv1beta1::PodMetrics>(object);
    PodMetric metric{0, api::toWallTime(pod.timestamp()), Duration(pod.window().duration())};
    bool known = false;
    for (const auto& container : pod.containers()) {
      if (!target.container.empty() && container.name() != target.container) continue;
      const auto used = container.usage().find(target.resource);
      known = used != container.usage().end();
      if (!known) break;
      metric.milli += api::Quantity::read(used->second).milliValue();
    }
    if (known) made[pod.metadata().name()] = metric;
  }
  if (made.empty()) {
    co_return Status(Code::kInvalid, context + "no metrics returned from resource metrics API");
  }
  co_return made;
}

}  // namespace podlab::controllers
