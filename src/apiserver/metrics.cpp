#include "apiserver/metrics.hpp"

#include <map>
#include <memory>
#include <set>
#include <utility>

#include <asio/this_coro.hpp>

#include "metrics_v1beta1.pb.h"

#include "api/kinds.hpp"
#include "api/pod_resources.hpp"
#include "api/quantity.hpp"
#include "api/times.hpp"
#include "apiserver/virtual_kind.hpp"
#include "common/log.hpp"
#include "common/sync.hpp"

namespace podlab::apiserver {
namespace {

using metricsv1beta1::NodeMetrics;
using metricsv1beta1::PodMetrics;

constexpr Duration kPatience = std::chrono::seconds(5);
constexpr std::int64_t kKibi = 1024;

/// By node; those that did not answer are missing.
using Reports = std::map<std::string, rpc::UsageReport>;

void setUsage(const rpc::Usage& usage, api::ResourceMap& out) {
  out["cpu"] = api::Quantity::parse(std::to_string(usage.nanocores()) + "n")->toMessage();
  out["memory"] =
      api::Quantity::of(usage.memorybytes() / kKibi * kKibi, api::Quantity::Format::kBinary)
          .toMessage();
}

template <typename Metrics>
std::shared_ptr<Metrics> metricsOf(const google::protobuf::Message& object,
                                   const rpc::UsageReport& report, WallTime now) {
  auto made = std::make_shared<Metrics>();
  auto& metadata = *made->mutable_metadata();
  metadata.set_name(api::meta(object).name());
  if (!api::meta(object).namespace_().empty())
    metadata.set_namespace_(api::meta(object).namespace_());
  *metadata.mutable_labels() = api::meta(object).labels();
  *metadata.mutable_creationtimestamp() = api::toTime(now);
  *made->mutable_timestamp() = api::toTime(now);
  made->mutable_window()->set_duration(report.windownanos());
  return made;
}

class Metrics final : public VirtualKind {
 public:
  Metrics(const api::Kind& kind, api::Api& reader, Clock& clock, UsageOf usageOf)
      : kind_(kind), reader_(reader), clock_(clock), usageOf_(std::move(usageOf)) {}

  Co<Result<api::ObjectPtr>> get(User, api::ResourceId id) override {
    api::ResourceId measured = subject(id);
    auto object = co_await reader_.get(std::move(measured));
    if (!object && !object.status().is(Code::kNotFound)) co_return object.status();
    std::vector<api::ObjectPtr> objects;
    if (object) objects.push_back(std::move(*object));
    auto found = co_await measure(std::move(objects));
    if (!found.empty()) co_return std::move(found.front());
    const std::string name = id.ns.empty() ? id.name : id.ns + "/" + id.name;
    const std::string resource = id.ns.empty() ? "nodemetrics" : "podmetrics";
    co_return Status(Code::kNotFound,
                     resource + "." + std::string(kind_.group) + " \"" + name + "\" not found");
  }

  Co<Result<api::ListResult>> list(User, api::ResourceId id, api::ListOptions options) override {
    api::ResourceId measured = subject(id);
    options.limit = 0;
    auto objects = co_await reader_.list(std::move(measured), std::move(options));
    if (!objects) co_return objects.status();
    api::ListResult result;
    auto found = co_await measure(objects->objects());
    result.items.assign(found.begin(), found.end());
    co_return result;
  }

 private:
  /// What is measured: nodes or pods.
  api::ResourceId subject(api::ResourceId id) const {
    id.kind = kind_.namespaced() ? &api::kindFor<corev1::Pod>() : &api::kindFor<corev1::Node>();
    return id;
  }

  static Co<void> ask(UsageOf usageOf, std::string node, Reports& reports) {
    auto report = co_await usageOf(node);
    const Status failed = !report ? report.status()
                          : report->error().empty()
                              ? Status()
                              : Status(Code::kHostUnsupported, report->error());
    if (failed) {
      reports[node] = std::move(*report);
    } else {
      logDebug("no_metrics", {{"node", node}, {"error", failed}});
    }
  }
  static Co<void> askInTime(Clock& clock, UsageOf usageOf, std::string node, Reports& reports) {
    co_await withDeadline(clock, clock.now() + kPatience,
                          ask(std::move(usageOf), std::move(node), reports));
  }

  Co<std::vector<api::ObjectPtr>> measure(std::vector<api::ObjectPtr> objects) {
    Reports reports;
    TaskGroup asking(co_await asio::this_coro::executor);
    for (const auto& node : nodesOf(objects))
      asking.spawn("usage", askInTime(clock_, usageOf_, node, reports));
    co_await asking.join();
    const WallTime now = clock_.wallNow();
    co_return kind_.namespaced() ? podMetrics(objects, reports, now)
                                 : nodeMetrics(objects, reports, now);
  }

  std::set<std::string> nodesOf(const std::vector<api::ObjectPtr>& objects) const {
    std::set<std::string> nodes;
    for (const auto& object : objects) {
      if (!kind_.namespaced()) {
        nodes.insert(api::meta(*object).name());
      } else if (api::as<corev1::Pod>(object).status().phase() == "Running") {
        nodes.insert(api::as<corev1::Pod>(object).spec().nodename());
      }
    }
    return nodes;
  }

  static std::vector<api::ObjectPtr> nodeMetrics(const std::vector<api::ObjectPtr>& nodes,
                                                 const Reports& reports, WallTime now) {
    std::vector<api::ObjectPtr> made;
    for (const auto& node : nodes) {
      const auto report = reports.find(api::meta(*node).name());
      if (report == reports.end()) continue;
      auto metrics = metricsOf<NodeMetrics>(*node, report->second, now);
      setUsage(report->second.node(), *metrics->mutable_usage());
      made.push_back(std::move(metrics));
    }
    return made;
  }

  static std::vector<api::ObjectPtr> podMetrics(const std::vector<api::ObjectPtr>& pods,
                                                const Reports& reports, WallTime now) {
    std::map<std::string, std::vector<const rpc::Usage*>> byPod;
    for (const auto& [node, report] : reports) {
      for (const auto& usage : report.containers()) byPod[usage.poduid()].push_back(&usage);
    }
    std::vector<api::ObjectPtr> made;
    for (const auto& pod : pods) {
      const auto usages = byPod.find(api::meta(*pod).uid());
      if (usages == byPod.end()) continue;
      const auto& report = reports.at(api::as<corev1::Pod>(pod).spec().nodename());
      auto metrics = metricsOf<PodMetrics>(*pod, report, now);
      for (const auto* usage : usages->second) {
        auto& container = *metrics->add_containers();
        container.set_name(usage->container());
        setUsage(*usage, *container.mutable_usage());
      }
      made.push_back(std::move(metrics));
    }
    return made;
  }

  const api::Kind& kind_;
  api::Api& reader_;
  Clock& clock_;
  const UsageOf usageOf_;
};

}  // namespace

void serveMetrics(ApiService& service, api::Api& reader, Clock& clock, UsageOf usageOf) {
  for (const api::Kind* kind : {&api::kindFor<NodeMetrics>(), &api::kindFor<PodMetrics>()})
    service.serve(*kind, "", std::make_shared<Metrics>(*kind, reader, clock, usageOf));
}

}  // namespace podlab::apiserver
