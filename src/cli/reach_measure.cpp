#include "cli/reach_measure.hpp"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "agent_rpc.pb.h"

#include "api/kinds.hpp"
#include "cli/ask_lab.hpp"
#include "node/reach_messages.hpp"

namespace podlab::cli {
namespace {

constexpr std::size_t kMostInspected = 256;       // probes that are looked into
constexpr std::size_t kMostInspectedOfAPair = 4;  // they mostly fail for one reason

constexpr char kMtuAnnotation[] = "podlab.io/pod-mtu";

/// The objects that a run is about.
struct Objects {
  std::vector<std::shared_ptr<const corev1::Pod>> pods;
  std::vector<std::shared_ptr<const corev1::Node>> nodes;
  std::vector<std::shared_ptr<const corev1::Namespace>> namespaces;
  std::vector<std::shared_ptr<const networkingv1::NetworkPolicy>> policies;
};

template <typename T>
Co<Status> listInto(api::Api& api, std::vector<std::shared_ptr<const T>>& into) {
  api::ResourceId all{&api::kindFor<T>(), "", "", ""};
  auto listed = co_await api.list(std::move(all), api::ListOptions());
  if (!listed) co_return listed.status();
  for (const auto& object : listed->items) into.push_back(api::share<T>(object));
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
    for (const auto& address : end.underlay) endpoint.add_underlay(address.toString());
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
      auto addresses = node::addressesOf(endpoint.ips());
      if (!addresses.empty()) end.addresses = std::move(addresses);
    }
    measurement_.missing.assign(report.missing().begin(), report.missing().end());
    measurement_.cells = planReachCells(ends);
  }

  void take(const rpc::ProbeReport& report) {
    if (!report.error().empty()) measurement_.failures[report.node()] = report.error();
    if (report.collected()) observing_.insert(report.node());
    for (const auto& result : report.results()) {
      ReachCell* cell = findReachCell(measurement_.cells, node::keyOf(result.key()));
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
    for (const auto& found : report.findings()) {
      ReachFinding& finding = measurement_.findings[node::keyOf(found.key())];
      (found.leaving() ? finding.leaving : finding.arriving) = found.text();
      finding.passes |= found.passes();
    }
    for (const auto& arrivals : report.arrivals()) {
      ReachCell* cell = findReachCell(measurement_.cells, node::keyOf(arrivals.key()));
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

/// The lab's declared faults: none of a server for other machines, nor of a lab that has just gone.
ReachFaults askForFaults(const Context& context,
                         const std::vector<std::shared_ptr<const corev1::Node>>& nodes) {
  lab::LabRequest request;
  request.set_listfaults(true);
  const auto answer = askRunningLab(context, request);
  if (!answer) return ReachFaults();
  lab::NodeLabels labels;
  for (const auto& node : nodes) {
    const auto& all = node->metadata().labels();
    labels[node->metadata().name()] = {all.begin(), all.end()};
  }
  return ReachFaults(answer->faults(), labels);
}

ReachFaults::Cause faultOf(const ReachMeasurement& measurement, const ReachFaults& faults,
                           const ReachCell& cell) {
  // What is refused has arrived, and what policies deny would be denied without the fault.
  if (cell.measured && (!cell.allowed || cell.refused || !cell.denial.empty())) return {};
  return faults.causeOf(measurement.ends[cell.key.from], measurement.ends[cell.key.to],
                        cell.measured);
}

/// What is to be looked into: probes that should be reached and are not, some of every pair, unless
/// a declared fault lets nothing pass.
rpc::ReachInspection inspectionOf(ReachMeasurement& measurement, const ReachFaults& faults) {
  rpc::ReachInspection inspection;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t> ofPair;
  for (const ReachCell& cell : measurement.cells) {
    const bool lost = cell.measured && cell.allowed && !cell.reached() && !cell.refused &&
                      cell.answered == 0 && cell.denial.empty();
    if (!lost || faultOf(measurement, faults, cell).full) continue;
    if (ofPair[{cell.key.from, cell.key.to}]++ >= kMostInspectedOfAPair) continue;
    auto& probe = *inspection.add_probes();
    node::setKey(*probe.mutable_key(), cell.key);
    probe.set_back(cell.oneWay());
    measurement.findings[cell.key].inspected = true;
    if (static_cast<std::size_t>(inspection.probes_size()) == kMostInspected) break;
  }
  return inspection;
}

/// `judge` is called when all has been measured, before what fails is looked into, and tells the
/// faults in force.
Co<Status> probe(Session& session, ReachMeasurement& measurement, net::ReachOptions options,
                 std::function<ReachFaults()> judge) {
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
    if (!report.measured()) continue;
    collector.finish();
    const ReachFaults faults = judge();
    const rpc::ReachInspection inspection = inspectionOf(measurement, faults);
    if (inspection.probes_size() == 0) break;
    message = rpc::encode(inspection);
    if (Status status = co_await (*stream)->send(std::move(message)); !status.ok()) {
      co_return status;
    }
  }
  co_return Status();
}

/// Why a cell that should be reached is not: the first cause on its way.
std::string causeOf(const ReachMeasurement& measurement, const ReachCell& cell) {
  std::string outcome = cell.outcome();
  if (!cell.denial.empty()) return outcome + ": NetworkPolicies deny it: " + cell.denial;
  const ReachEnd& from = measurement.ends[cell.key.from];
  const ReachEnd& to = measurement.ends[cell.key.to];
  auto found = measurement.findings.find(cell.key);
  if (found == measurement.findings.end()) {
    // Not looked into itself: another of the same pair.
    found = measurement.findings.lower_bound({cell.key.from, cell.key.to, cell.key.family, 0, 0});
    const bool same = found != measurement.findings.end() && found->first.from == cell.key.from &&
                      found->first.to == cell.key.to && found->first.family == cell.key.family;
    if (!same || cell.refused) return outcome;
  }
  const ReachFinding& finding = found->second;
  const std::string& cause = finding.leaving.empty() ? finding.arriving : finding.leaving;
  const std::string passes = finding.passes ? " (it passes now)" : "";
  if (!cause.empty()) return cause + passes;
  const auto away = measurement.failures.find(to.node);
  if (away != measurement.failures.end()) {
    return outcome + ": the agent of " + to.node + " is away: " + away->second;
  }
  if (finding.passes) return outcome + passes;
  if (to.node.empty()) return outcome + ": nothing is wrong on " + from.node;
  return outcome + ": nothing is wrong on " + from.node +
         (from.node == to.node ? "" : " and " + to.node);
}

/// Why each cell that is not as expected is so.
void explain(ReachMeasurement& measurement, const ReachFaults& faults) {
  for (ReachCell& cell : measurement.cells) {
    if (cell.asExpected()) continue;
    const std::string fault = faultOf(measurement, faults, cell).text;
    const std::string because = fault.empty() ? "" : fault + ": ";
    if (!cell.measured) {
      const auto failed = measurement.failures.find(measurement.ends[cell.key.from].node);
      cell.reason = because + "not measured";
      if (failed != measurement.failures.end()) cell.reason += ": " + failed->second;
    } else if (cell.allowed) {
      cell.reason = because + causeOf(measurement, cell);
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
  ReachFaults faults;
  std::function<ReachFaults()> judge = [&] {
    measurement.took = session.clock.now() - startedAt;
    if (!objects->policies.empty()) {
      const policy::Model model(std::move(objects->pods), std::move(objects->namespaces),
                                objects->policies);
      expectPolicies(model, measurement.ends, measurement.cells);
    }
    if (plan.expectation) plan.expectation->apply(measurement.ends, measurement.cells);
    if (!measurement.ok()) faults = askForFaults(session.context, objects->nodes);
    return faults;
  };
  Status status = co_await probe(session, measurement, plan.options, std::move(judge));
  if (!status) co_return status;
  explain(measurement, faults);
  co_return measurement;
}

}  // namespace podlab::cli
