#include "cli/reach_measure.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "agent_rpc.pb.h"

#include "api/kinds.hpp"

namespace podlab::cli {
namespace {

constexpr char kMtuAnnotation[] = "podlab.io/pod-mtu";

template <typename T>
Co<Result<std::vector<std::shared_ptr<const T>>>> listAll(api::Api& api) {
  api::ResourceId all{&api::kindFor<T>(), "", "", ""};
  auto listed = co_await api.list(std::move(all), api::ListOptions());
  if (!listed) co_return listed.status();
  std::vector<std::shared_ptr<const T>> objects;
  for (const auto& object : listed->items) objects.push_back(api::share<T>(object));
  co_return objects;
}

/// The objects that a run is about.
struct Objects {
  std::vector<std::shared_ptr<const corev1::Pod>> pods;
  std::vector<std::shared_ptr<const corev1::Node>> nodes;
  std::vector<std::shared_ptr<const corev1::Namespace>> namespaces;
  std::vector<std::shared_ptr<const networkingv1::NetworkPolicy>> policies;
};

template <typename T>
Co<Status> listInto(api::Api& api, std::vector<std::shared_ptr<const T>>& into) {
  auto listed = co_await listAll<T>(api);
  if (!listed) co_return listed.status();
  into = std::move(*listed);
  co_return Status();
}

Co<Result<Objects>> listObjects(api::Api& api) {
  Objects objects;
  Status status = co_await listInto(api, objects.policies);
  if (status) status = co_await listInto(api, objects.pods);
  if (status) status = co_await listInto(api, objects.nodes);
  if (status && !objects.policies.empty()) status = co_await listInto(api, objects.namespaces);
  if (!status) co_return status;
  co_return objects;
}

/// The smallest MTU that nodes tell of for pods; 0 when none does.
int pathMtu(const std::vector<std::shared_ptr<const corev1::Node>>& nodes) {
  int smallest = 0;
  for (const auto& node : nodes) {
    const auto& annotations = node->metadata().annotations();
    const auto found = annotations.find(kMtuAnnotation);
    const int mtu = found == annotations.end() ? 0 : std::atoi(found->second.c_str());
    if (mtu > 0 && (smallest == 0 || mtu < smallest)) smallest = mtu;
  }
  return smallest;
}

rpc::ReachRequest requestOf(const std::vector<ReachEnd>& ends, const net::ReachOptions& options) {
  rpc::ReachRequest request;
  for (const ReachEnd& end : ends) {
    auto& endpoint = *request.add_endpoints();
    endpoint.set_namespace_(end.ns);
    endpoint.set_name(end.name);
    endpoint.set_node(end.node);
    if (end.pod) endpoint.set_uid(end.pod->metadata().uid());
    for (const auto& address : end.addresses) endpoint.add_ips(address.toString());
    for (const auto& address : end.otherSources) endpoint.add_othersources(address.toString());
    endpoint.set_sends(end.sends);
    endpoint.set_receives(end.receives);
    for (const auto& port : end.ports) {
      auto& added = *endpoint.add_ports();
      added.set_protocol(port.protocol);
      added.set_port(port.port);
      added.set_own(port.own);
    }
  }
  auto& settings = *request.mutable_settings();
  settings.set_timeoutmillis(
      std::chrono::duration_cast<std::chrono::milliseconds>(options.timeout).count());
  settings.set_size(static_cast<std::uint32_t>(options.packetSize));
  settings.set_count(static_cast<std::uint32_t>(options.count));
  settings.set_intervalnanos(options.interval.count());
  return request;
}

net::ProbeKey keyOf(const rpc::ProbeKey& key) {
  return {key.from(), key.to(), static_cast<net::Family>(key.family()),
          static_cast<std::uint8_t>(key.protocol()), static_cast<std::uint16_t>(key.port())};
}

/// Takes the agents' reports in.
class Collector {
 public:
  explicit Collector(ReachMeasurement& measurement) : measurement_(measurement) {}

  /// The ends as the server has found them.
  void takeEnds(const rpc::ReachReport& report) {
    auto& ends = measurement_.ends;
    for (int i = 0; i < std::min(report.endpoints_size(), static_cast<int>(ends.size())); ++i) {
      const auto& endpoint = report.endpoints(i);
      ReachEnd& end = ends[static_cast<std::size_t>(i)];
      end.sends = endpoint.sends();
      end.receives = endpoint.receives();
      end.node = endpoint.node();
      std::vector<net::IpAddress> addresses;
      for (const auto& text : endpoint.ips()) {
        if (auto address = net::IpAddress::parse(text)) addresses.push_back(*address);
      }
      if (!addresses.empty()) end.addresses = std::move(addresses);
    }
    measurement_.missing.assign(report.missing().begin(), report.missing().end());
    measurement_.cells = planReachCells(ends);
  }

  void take(const rpc::ProbeReport& report) {
    if (!report.error().empty()) measurement_.failures[report.node()] = report.error();
    if (report.collected()) observing_.insert(report.node());
    for (const auto& result : report.results()) {
      ReachCell* cell = findReachCell(measurement_.cells, keyOf(result.key()));
      if (cell == nullptr) continue;
      cell->measured = true;
      cell->sent = result.sent();
      cell->answered = result.answered();
      cell->refused = result.refused();
      cell->error = result.error();
      cell->rttMin = Duration(result.rttminnanos());
      cell->rttMean = Duration(result.rttmeannanos());
      cell->rttMax = Duration(result.rttmaxnanos());
    }
    for (const auto& arrivals : report.arrivals()) {
      ReachCell* cell = findReachCell(measurement_.cells, keyOf(arrivals.key()));
      if (cell != nullptr) cell->arrived = arrivals.count();
    }
  }

  void finish() {
    for (ReachCell& cell : measurement_.cells) {
      // Of TCP a copy of a SYN that the kernel sent again counts as well, or a program's own.
      if (cell.arrived) cell.arrived = std::min(*cell.arrived, cell.sent);
      const bool observed = observing_.contains(measurement_.ends[cell.key.to].node);
      if (!cell.arrived && observed) cell.arrived = 0;
      // Who has answered has got it, even where the observer's buffer was full.
      if (cell.arrived) cell.arrived = std::max(*cell.arrived, cell.answered);
    }
  }

 private:
  ReachMeasurement& measurement_;
  std::set<std::string> observing_;  ///< nodes that have told of all arrivals
};

Co<Status> probe(Session& session, ReachMeasurement& measurement, net::ReachOptions options) {
  auto connection = co_await session.connection.get(session.clock.now() + std::chrono::seconds(10));
  if (!connection) co_return connection.status();
  auto stream = co_await (*connection)->open("reach");
  if (!stream) co_return stream.status();
  std::string message = rpc::encode(requestOf(measurement.ends, options));
  if (Status status = co_await (*stream)->send(std::move(message)); !status.ok()) co_return status;
  Collector collector(measurement);
  while (true) {
    auto bytes = co_await (*stream)->receive();
    if (!bytes && bytes.status().is(Code::kEndOfStream)) break;
    if (!bytes) co_return bytes.status();
    rpc::ReachReport report;
    if (Status status = rpc::decode(*bytes, report); !status.ok()) co_return status;
    if (report.endpoints_size() > 0) collector.takeEnds(report);
    if (report.has_report()) collector.take(report.report());
  }
  collector.finish();
  co_return Status();
}

/// Why each cell that is not as expected is so, as far as the probes themselves tell.
void explain(ReachMeasurement& measurement) {
  for (ReachCell& cell : measurement.cells) {
    if (cell.asExpected()) continue;
    if (!cell.measured) {
      const auto failed = measurement.failures.find(measurement.ends[cell.key.from].node);
      cell.reason = "not measured";
      if (failed != measurement.failures.end()) cell.reason += ": " + failed->second;
    } else if (cell.allowed) {
      cell.reason = cell.outcome();
    } else {
      cell.reason = (cell.reached() ? "it is reached" : "it arrives") + std::string(", though ") +
                    cell.expectation;
    }
  }
}

}  // namespace

Co<Result<ReachMeasurement>> measureReach(Session& session, ReachPlan plan) {
  auto objects = co_await listObjects(session.api);
  if (!objects) co_return objects.status();
  auto ends = selectReachEnds(plan.selection, objects->pods, objects->nodes);
  if (!ends) co_return ends.status();
  if (plan.wholePathMtu) {
    plan.options.packetSize = pathMtu(objects->nodes);
    if (plan.options.packetSize == 0) {
      co_return Status(Code::kUnavailable, "--size mtu: no node tells its pods' MTU");
    }
  }
  ReachMeasurement measurement;
  measurement.ends = std::move(*ends);
  if (measurement.ends.empty()) co_return measurement;
  const MonoTime startedAt = session.clock.now();
  Status status = co_await probe(session, measurement, plan.options);
  if (!status) co_return status;
  measurement.took = session.clock.now() - startedAt;
  if (!objects->policies.empty()) {
    const policy::Model model(std::move(objects->pods), std::move(objects->namespaces),
                              objects->policies);
    expectPolicies(model, measurement.ends, measurement.cells);
  }
  if (plan.expectation) plan.expectation->apply(measurement.ends, measurement.cells);
  explain(measurement);
  co_return measurement;
}

}  // namespace podlab::cli
