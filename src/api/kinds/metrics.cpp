#include "metrics_v1beta1.pb.h"

#include "api/kinds/rows.hpp"
#include "api/quantity.hpp"
#include "common/time.hpp"

namespace podlab::api {
namespace {

using metricsv1beta1::NodeMetrics;
using metricsv1beta1::PodMetrics;

template <typename Metrics>
std::string windowCell(const Metrics& object) {
  return formatDuration(Duration(object.window().duration()));
}

/// The sum of one resource.
template <typename List>
std::string sumCell(const List& all, const char* resource) {
  Quantity sum;
  for (const auto& one : all) {
    const auto found = one.usage().find(resource);
    if (found != one.usage().end()) sum += Quantity::read(found->second);
  }
  return sum.toString();
}

template <typename Metrics, typename ListOf>
std::vector<Column> columns(ListOf listOf) {
  return {nameColumn(),
          column<Metrics>(
              "CPU", 0, [listOf](const Metrics& object) { return sumCell(listOf(object), "cpu"); }),
          column<Metrics>(
              "Memory", 0,
              [listOf](const Metrics& object) { return sumCell(listOf(object), "memory"); }),
          column<Metrics>("Window", 0, windowCell<Metrics>)};
}

Kind metricsKind(std::string_view kind, std::string_view plural, Scope scope,
                 const google::protobuf::Message& prototype, std::vector<Column> columns) {
  return {
      .group = "metrics.k8s.io",
      .version = "v1beta1",
      .kind = kind,
      .plural = plural,
      .singular = "",
      .shortNames = {},
      .categories = {},
      .scope = scope,
      .prototype = &prototype,
      .columns = std::move(columns),
      .strategy = {},
      .verbs = {"get", "list"},
  };
}

}  // namespace

Kind nodeMetricsKind() {
  const auto itself = [](const NodeMetrics& node) { return std::vector<NodeMetrics>{node}; };
  return metricsKind("NodeMetrics", "nodes", Scope::kCluster, NodeMetrics::default_instance(),
                     columns<NodeMetrics>(itself));
}

Kind podMetricsKind() {
  const auto containers = [](const PodMetrics& pod) -> const auto& { return pod.containers(); };
  return metricsKind("PodMetrics", "pods", Scope::kNamespaced, PodMetrics::default_instance(),
                     columns<PodMetrics>(containers));
}

}  // namespace podlab::api
