#include <array>
#include <span>

#include <nlohmann/json.hpp>

#include "autoscaling_v1.pb.h"
#include "autoscaling_v2.pb.h"

#include "api/codec.hpp"
#include "api/kinds/rows.hpp"
#include "common/json.hpp"

namespace podlab::api {
namespace {

using Json = nlohmann::json;
using Pointer = Json::json_pointer;
using Shown = autoscalingv1::HorizontalPodAutoscaler;
using Stored = autoscalingv2::HorizontalPodAutoscaler;

// What autoscaling/v1 has no fields for is in annotations, in the form of upstream's
// pkg/apis/autoscaling/v1/conversion.go.
constexpr const char* kMetrics = "autoscaling.alpha.kubernetes.io/metrics";
constexpr const char* kCurrentMetrics = "autoscaling.alpha.kubernetes.io/current-metrics";
constexpr const char* kConditions = "autoscaling.alpha.kubernetes.io/conditions";
constexpr const char* kBehavior = "autoscaling.alpha.kubernetes.io/behavior";
constexpr std::array kAll{kMetrics, kCurrentMetrics, kConditions, kBehavior};

/// Where a metric of autoscaling/v2 has something, and where one of autoscaling/v1.
struct Place {
  const char* v2;
  const char* v1;
};

constexpr Place kSpecPlaces[] = {
    {"/type", "/type"},
    {"/resource/name", "/resource/name"},
    {"/resource/target/averageUtilization", "/resource/targetAverageUtilization"},
    {"/resource/target/averageValue", "/resource/targetAverageValue"},
    {"/containerResource/name", "/containerResource/name"},
    {"/containerResource/container", "/containerResource/container"},
    {"/containerResource/target/averageUtilization", "/containerResource/targetAverageUtilization"},
    {"/containerResource/target/averageValue", "/containerResource/targetAverageValue"},
    {"/pods/metric/name", "/pods/metricName"},
    {"/pods/metric/selector", "/pods/selector"},
    {"/pods/target/averageValue", "/pods/targetAverageValue"},
    {"/object/describedObject", "/object/target"},
    {"/object/metric/name", "/object/metricName"},
    {"/object/metric/selector", "/object/selector"},
    {"/object/target/value", "/object/targetValue"},
    {"/object/target/averageValue", "/object/averageValue"},
    {"/external/metric/name", "/external/metricName"},
    {"/external/metric/selector", "/external/metricSelector"},
    {"/external/target/value", "/external/targetValue"},
    {"/external/target/averageValue", "/external/targetAverageValue"},
};

constexpr Place kStatusPlaces[] = {
    {"/type", "/type"},
    {"/resource/name", "/resource/name"},
    {"/resource/current/averageUtilization", "/resource/currentAverageUtilization"},
    {"/resource/current/averageValue", "/resource/currentAverageValue"},
    {"/containerResource/name", "/containerResource/name"},
    {"/containerResource/container", "/containerResource/container"},
    {"/containerResource/current/averageUtilization",
     "/containerResource/currentAverageUtilization"},
    {"/containerResource/current/averageValue", "/containerResource/currentAverageValue"},
    {"/pods/metric/name", "/pods/metricName"},
    {"/pods/metric/selector", "/pods/selector"},
    {"/pods/current/averageValue", "/pods/currentAverageValue"},
    {"/object/describedObject", "/object/target"},
    {"/object/metric/name", "/object/metricName"},
    {"/object/metric/selector", "/object/selector"},
    {"/object/current/value", "/object/currentValue"},
    {"/object/current/averageValue", "/object/averageValue"},
    {"/external/metric/name", "/external/metricName"},
    {"/external/metric/selector", "/external/metricSelector"},
    {"/external/current/value", "/external/currentValue"},
    {"/external/current/averageValue", "/external/currentAverageValue"},
};

Json moved(const Json& from, std::span<const Place> places, bool toV1) {
  Json to = Json::object();
  for (const Place& place : places) {
    const Pointer source(toV1 ? place.v2 : place.v1);
    if (from.contains(source)) to[Pointer(toV1 ? place.v1 : place.v2)] = from.at(source);
  }
  return to;
}

/// autoscaling/v1 does not say of which type a target is.
void addTargetType(Json& metric) {
  for (auto& source : metric) {
    const auto target = source.is_object() ? source.find("target") : source.end();
    if (!source.is_object() || target == source.end()) continue;
    (*target)["type"] = target->contains("averageUtilization") ? "Utilization"
                        : target->contains("averageValue")     ? "AverageValue"
                                                               : "Value";
  }
}

template <typename List>
Json listOf(const List& messages) {
  Json list = Json::array();
  for (const auto& message : messages) list.push_back(Json::parse(toJson(message)));
  return list;
}

/// The elements of an annotation, or none of one that is no list of these.
template <typename Message, typename Change>
std::vector<Message> readList(const std::string& text, Change change) {
  JsonReader reader(text);  // limits the depth
  reader.skip();
  const Json list = reader.finish() ? Json::parse(text, nullptr, false) : Json();
  if (!list.is_array()) return {};
  std::vector<Message> read;
  for (const Json& element : list) {
    if (!element.is_object() || !fromJson(change(element).dump(), read.emplace_back())) return {};
  }
  return read;
}

template <typename From, typename To>
void copyTarget(const From& from, To& to) {
  to.set_kind(from.kind());
  to.set_name(from.name());
  if (from.has_apiversion()) to.set_apiversion(from.apiversion());
}

/// What both forms have alike.
template <typename From, typename To>
void copyCommon(const From& from, To& to) {
  if (from.has_metadata()) *to.mutable_metadata() = from.metadata();
  if (from.has_spec()) {
    const auto& spec = from.spec();
    if (spec.has_scaletargetref())
      copyTarget(spec.scaletargetref(), *to.mutable_spec()->mutable_scaletargetref());
    if (spec.has_minreplicas()) to.mutable_spec()->set_minreplicas(spec.minreplicas());
    if (spec.has_maxreplicas()) to.mutable_spec()->set_maxreplicas(spec.maxreplicas());
  }
  if (!from.has_status()) return;
  const auto& status = from.status();
  auto& copied = *to.mutable_status();
  if (status.has_observedgeneration()) copied.set_observedgeneration(status.observedgeneration());
  if (status.has_lastscaletime()) *copied.mutable_lastscaletime() = status.lastscaletime();
  if (status.has_currentreplicas()) copied.set_currentreplicas(status.currentreplicas());
  if (status.has_desiredreplicas()) copied.set_desiredreplicas(status.desiredreplicas());
}

template <typename Metric>
bool isCpu(const Metric& metric) {
  return metric.type() == "Resource" && metric.resource().name() == "cpu";
}

/// What the first of the metrics that is of the pods' cpu says of its utilization.
template <typename Metrics, typename Value>
std::optional<std::int32_t> cpuUtilization(const Metrics& metrics, Value value) {
  for (const auto& metric : metrics) {
    if (!isCpu(metric)) continue;
    const auto& found = value(metric.resource());
    if (!found.has_averageutilization()) return std::nullopt;
    return found.averageutilization();
  }
  return std::nullopt;
}

void dropAnnotations(metav1::ObjectMeta& metadata) {
  for (const char* name : kAll) metadata.mutable_annotations()->erase(name);
}

void fromStored(const Stored& stored, Shown& shown) {
  copyCommon(stored, shown);
  dropAnnotations(*shown.mutable_metadata());
  auto& annotations = *shown.mutable_metadata()->mutable_annotations();
  const auto cpu =
      cpuUtilization(stored.spec().metrics(), [](const auto& r) -> auto& { return r.target(); });
  if (cpu) shown.mutable_spec()->set_targetcpuutilizationpercentage(*cpu);
  Json others = Json::array();
  for (const auto& metric : stored.spec().metrics()) {
    if (!isCpu(metric) || !metric.resource().target().has_averageutilization())
      others.push_back(moved(Json::parse(toJson(metric)), kSpecPlaces, true));
  }
  if (!others.empty()) annotations[kMetrics] = others.dump();
  if (stored.spec().has_behavior()) annotations[kBehavior] = toJson(stored.spec().behavior());
  const auto now = cpuUtilization(stored.status().currentmetrics(),
                                  [](const auto& r) -> auto& { return r.current(); });
  if (now) shown.mutable_status()->set_currentcpuutilizationpercentage(*now);
  Json current = listOf(stored.status().currentmetrics());
  for (Json& metric : current) metric = moved(metric, kStatusPlaces, true);
  if (!current.empty()) annotations[kCurrentMetrics] = current.dump();
  if (!stored.status().conditions().empty())
    annotations[kConditions] = listOf(stored.status().conditions()).dump();
}

void toStored(const Shown& shown, Stored& stored) {
  copyCommon(shown, stored);
  const auto& annotations = shown.metadata().annotations();
  const auto text = [&](const char* name) {
    const auto found = annotations.find(name);
    return found == annotations.end() ? std::string() : found->second;
  };
  const auto metrics = readList<autoscalingv2::MetricSpec>(text(kMetrics), [](const Json& metric) {
    Json made = moved(metric, kSpecPlaces, false);
    addTargetType(made);
    return made;
  });
  for (const auto& metric : metrics) *stored.mutable_spec()->add_metrics() = metric;
  if (shown.spec().has_targetcpuutilizationpercentage()) {
    auto& metric = *stored.mutable_spec()->add_metrics();
    metric.set_type("Resource");
    metric.mutable_resource()->set_name("cpu");
    auto& target = *metric.mutable_resource()->mutable_target();
    target.set_type("Utilization");
    target.set_averageutilization(shown.spec().targetcpuutilizationpercentage());
  }
  autoscalingv2::HorizontalPodAutoscalerBehavior behavior;
  if (const std::string given = text(kBehavior); !given.empty() && fromJson(given, behavior))
    *stored.mutable_spec()->mutable_behavior() = behavior;
  const auto current = readList<autoscalingv2::MetricStatus>(
      text(kCurrentMetrics),
      [](const Json& metric) { return moved(metric, kStatusPlaces, false); });
  for (const auto& metric : current) *stored.mutable_status()->add_currentmetrics() = metric;
  const auto conditions = readList<autoscalingv2::HorizontalPodAutoscalerCondition>(
      text(kConditions), [](const Json& condition) { return condition; });
  for (const auto& condition : conditions) *stored.mutable_status()->add_conditions() = condition;
  if (stored.has_metadata()) dropAnnotations(*stored.mutable_metadata());
}

}  // namespace

Kind horizontalPodAutoscalerV1Kind() {
  return {
      .group = "autoscaling",
      .version = "v1",
      .kind = "HorizontalPodAutoscaler",
      .plural = "horizontalpodautoscalers",
      .singular = "horizontalpodautoscaler",
      .shortNames = {"hpa"},
      .categories = {"all"},
      .scope = Scope::kNamespaced,
      .prototype = &Shown::default_instance(),
      .columns = {},
      .strategy = {.hasStatus = true},
      .form = Kind::Form{.stored = &Stored::default_instance(),
                         .toStored = converts<Shown, Stored, toStored>,
                         .fromStored = converts<Stored, Shown, fromStored>},
  };
}

}  // namespace podlab::api
