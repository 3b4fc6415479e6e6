#include "sim/world.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>

#include <asio/io_context.hpp>

#include "apps_v1.pb.h"
#include "batch_v1.pb.h"

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "api/node_labels.hpp"
#include "client/informer.hpp"
#include "common/log.hpp"
#include "common/log_time.hpp"
#include "common/sync.hpp"
#include "sim/arrivals.hpp"
#include "sim/fault_driver.hpp"
#include "sim/invariants.hpp"
#include "sim/machine.hpp"
#include "sim/sim_clock.hpp"
#include "sim/sim_network.hpp"
#include "sim/sim_server.hpp"

namespace podlab::sim {
namespace {

/// Machines do not boot all at once.
constexpr Duration kBootSpread = std::chrono::seconds(5);
/// Between two reports of an unchanged status, in heartbeats: kubelet's defaults.
constexpr int kStatusPeriod = 30;
/// Of a user whose request got no answer.
constexpr Duration kRetry = std::chrono::seconds(1);
constexpr const char* kNamespace = "default";
/// From one look at whether the cluster spins to the next.
constexpr Duration kStride = std::chrono::seconds(10);

/// As many nodes as there are fit into the cluster's range.
const net::Cidr kPodRange = *net::Cidr::parse("10.0.0.0/8");
/// The machines' own addresses.
const net::Cidr kMachineRange = *net::Cidr::parse("172.16.0.0/12");

controllers::ManagerOptions managerOptions(const Scenario& scenario) {
  controllers::ManagerOptions options;
  options.ranges = {{kPodRange, 24}};
  options.nodeGrace = scenario.nodeGrace;
  return options;
}

bool mayHelp(const Status& status) {
  return status.is(Code::kUnavailable) || status.is(Code::kTimeout) ||
         status.is(Code::kTooManyRequests);
}

}  // namespace

struct World::State {
  State(Scenario s, WorldOptions o);

  Result<Outcome> run();
  void advance(Duration by);
  void makeMachines();
  void bootMachines();
  FaultTargets faultTargets();
  Co<Status> startServer();
  Co<void> startServerAgain();
  void observe();
  void sample();
  void scheduleArrival(std::size_t workload);
  Co<void> create(std::size_t workload, Arrival arrival);
  Co<void> removeAfter(api::ResourceId id, Duration lifetime);
  Co<void> remove(api::ResourceId id);
  Co<void> shutDown();
  void checkQuiet();

  Scenario scenario;
  WorldOptions options;
  asio::io_context io{ASIO_CONCURRENCY_HINT_UNSAFE};  // of one thread: without locks
  SimClock clock{io};
  LogTime logTime{[this] { return clock.wallNow(); }};
  // A stream of chance for each component: what one draws does not shift another's.
  SeededRng networkRng{scenario.seed, "network"};
  SeededRng diskRng{scenario.seed, "disk"};
  SeededRng serverRng{scenario.seed, "server"};
  SeededRng bootRng{scenario.seed, "boot"};
  SeededRng clientRng{scenario.seed, "client"};
  SimNetwork network{clock, networkRng};
  SimDisk disk{clock, diskRng, options.disk};
  SimServer server{io.get_executor(), clock, serverRng, disk, network, managerOptions(scenario)};
  std::unique_ptr<api::Api> admin = server.asAdmin();
  std::map<std::string, std::unique_ptr<Machine>> machines;
  Observer observer{scenario};
  client::Informer pods{
      *admin, clock, clientRng, io.get_executor(), {&api::kindFor<corev1::Pod>(), "", "", ""}};
  client::Informer nodes{
      *admin, clock, clientRng, io.get_executor(), {&api::kindFor<corev1::Node>(), "", "", ""}};
  FaultDriver faults{io.get_executor(), clock, network, scenario, faultTargets()};
  std::vector<Arrivals> arrivals;
  bool ending = false;
  MonoTime serverSince;
  Clock::TimerId sampleTimer = 0;
  Outcome outcome;
  TaskGroup work{io.get_executor()};  ///< of users
  TaskGroup checks{io.get_executor()};

  std::unique_ptr<Dialer> auditDialer = network.dialer(SimServer::kAdminHost);
  std::optional<client::ReconnectingConnection> auditConnection;
  std::optional<client::RemoteApi> auditApi;
  std::optional<Invariants> invariants;
};

World::State::State(Scenario s, WorldOptions o) : scenario(std::move(s)), options(std::move(o)) {
  network.setConditions(scenario.link);
  clock.onStandstill([this] {
    std::fprintf(stderr,
                 "podlab: virtual time stands still at %s, with seed %llu: something that takes no "
                 "time goes on for ever. Please report this, with the scenario.\n",
                 formatDuration(clock.elapsed()).c_str(),
                 static_cast<unsigned long long>(scenario.seed));
    std::_Exit(1);
  });
  for (const auto& workload : scenario.workloads) arrivals.emplace_back(workload, scenario.seed);
  makeMachines();
  observe();
  if (!options.checkInvariants) return;
  invariants.emplace(clock, disk);
  checks.spawn("invariants", invariants->follow());
  client::ReconnectingConnection::Options connection;
  connection.address = SimServer::kHost;
  auditConnection.emplace(io.get_executor(), clock, clientRng, *auditDialer, std::move(connection));
  auditApi.emplace(*auditConnection, clock);
}

void World::State::makeMachines() {
  std::uint64_t number = 0;
  for (const auto& group : scenario.nodes) {
    for (int i = 0; i < group.count; ++i) {
      HollowNodeOptions node;
      node.name = group.nodeName(i);
      node.labels = group.labels;
      if (!group.zones.empty())
        node.labels[api::kZoneLabel] =
            group.zones[static_cast<std::size_t>(i) % group.zones.size()];
      node.taints = group.taints;
      node.capacity = group.capacity;
      node.addresses = {kMachineRange.at(++number)};
      node.clusterRanges = {kPodRange};
      node.version = "podlab";
      node.behaviour = group.behaviour;
      node.intervals.lease = scenario.heartbeat;
      node.intervals.leaseDuration = scenario.nodeGrace;
      node.intervals.status = kStatusPeriod * scenario.heartbeat;
      const std::string name = node.name;
      machines[name] = std::make_unique<Machine>(io.get_executor(), clock, scenario.seed, network,
                                                 server, scenario.direct, std::move(node));
    }
  }
}

void World::State::bootMachines() {
  for (const auto& [name, machine] : machines) {
    const Duration delay(bootRng.below(static_cast<std::uint64_t>(kBootSpread.count())));
    clock.scheduleIn(delay, [booting = machine.get()] { booting->start(); });
  }
}

FaultTargets World::State::faultTargets() {
  FaultTargets targets;
  targets.crashAgent = [this](const std::string& node) { return machines.at(node)->crashAgent(); };
  targets.powerOff = [this](const std::string& node) { return machines.at(node)->powerOff(); };
  targets.start = [this](std::string node) { machines.at(node)->start(); };
  targets.crashServer = [this] { return server.crash(); };
  targets.startServer = [this] { return startServerAgain(); };
  return targets;
}

Co<Status> World::State::startServer() {
  Status status = co_await server.start([this]() -> Co<void> {
    if (invariants) co_await invariants->checkAcknowledged();
  });
  serverSince = clock.now();
  co_return status;
}

Co<void> World::State::startServerAgain() {
  const Status status = co_await startServer();
  if (status.ok()) co_return;
  logError("server_not_started", {{"error", status}});
  if (invariants) invariants->report("the server does not start again: " + status.toString());
}

void World::State::observe() {
  const auto seePod = [this](const api::ObjectPtr& object) {
    const auto& pod = api::as<corev1::Pod>(object);
    observer.seePod(pod, clock.elapsed());
    // The user of a pod that has ended takes it away.
    if (!api::isFinished(pod) || pod.metadata().has_deletiontimestamp() ||
        !pod.metadata().ownerreferences().empty() || ending)
      return;
    api::ResourceId id{&api::kindFor<corev1::Pod>(), pod.metadata().namespace_(),
                       pod.metadata().name(), ""};
    work.spawn("remove", remove(std::move(id)));
  };
  client::Informer::Handlers ofPods;
  ofPods.added = seePod;
  ofPods.updated = [this, seePod](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    // Another pod of the same name.
    if (api::meta(*before).uid() != api::meta(*now).uid())
      observer.losePod(api::as<corev1::Pod>(before));
    seePod(now);
  };
  ofPods.deleted = [this](const api::ObjectPtr& last) {
    observer.losePod(api::as<corev1::Pod>(last));
  };
  pods.addHandlers(std::move(ofPods));
  const auto seeNode = [this](const api::ObjectPtr& node) {
    observer.seeNode(api::as<corev1::Node>(node));
  };
  client::Informer::Handlers ofNodes;
  ofNodes.added = seeNode;
  ofNodes.updated = [seeNode](const api::ObjectPtr&, const api::ObjectPtr& now) { seeNode(now); };
  ofNodes.deleted = [this](const api::ObjectPtr& last) {
    observer.loseNode(api::as<corev1::Node>(last));
  };
  nodes.addHandlers(std::move(ofNodes));
}

void World::State::sample() {
  observer.sample(clock.elapsed());
  if (invariants && server.running()) invariants->checkEvictions(clock.now() - serverSince);
  if (options.progress) options.progress(clock.elapsed());
  sampleTimer = clock.scheduleIn(scenario.sample, [this] { sample(); });
}

void World::State::scheduleArrival(std::size_t workload) {
  auto arrival = arrivals[workload].next();
  if (!arrival || arrival->at > scenario.duration) return;
  const MonoTime at = clock.now() - clock.elapsed() + arrival->at;
  clock.schedule(at, [this, workload, arrival = std::move(*arrival)] {
    work.spawn("create", create(workload, arrival));
    scheduleArrival(workload);
  });
}

Co<void> World::State::create(std::size_t workload, Arrival arrival) {
  const Workload& of = scenario.workloads[workload];
  const api::Kind* kind = &api::kindFor<corev1::Pod>();
  if (of.kind == Workload::Kind::kDeployment) kind = &api::kindFor<appsv1::Deployment>();
  if (of.kind == Workload::Kind::kJob) kind = &api::kindFor<batchv1::Job>();
  api::ResourceId id{kind, kNamespace, "", ""};
  for (;;) {
    api::WriteOptions write;
    auto made = co_await admin->create(id, objectOf(of, arrival), std::move(write));
    // An answer that was lost is found out by the next request.
    if (made || made.status().is(Code::kAlreadyExists)) break;
    if (!mayHelp(made.status())) {
      if (outcome.refused++ == 0) outcome.refusal = arrival.name + ": " + made.status().message();
      co_return;
    }
    co_await clock.sleepFor(kRetry);
  }
  if (of.kind != Workload::Kind::kDeployment || !arrival.lifetime) co_return;
  co_await clock.sleepFor(*arrival.lifetime);
  id.name = arrival.name;
  co_await remove(std::move(id));
}

Co<void> World::State::remove(api::ResourceId id) {
  for (;;) {
    api::DeleteOptions deletion;
    const auto removed = co_await admin->remove(id, std::move(deletion));
    if (removed || !mayHelp(removed.status())) co_return;
    co_await clock.sleepFor(kRetry);
  }
}

void World::State::checkQuiet() {
  invariants->checkQuiet();
  std::map<std::string, std::set<std::string>> running;  // containers by node
  for (const auto& object : pods.list()) {
    const auto& pod = api::as<corev1::Pod>(object);
    for (const auto& container : pod.status().containerstatuses()) {
      if (container.state().has_running())
        running[pod.spec().nodename()].insert(pod.metadata().name() + "/" + container.name());
    }
  }
  for (const auto& [name, machine] : machines) {
    const std::size_t there = machine->node().runtime().runningCount();
    if (there == running[name].size()) continue;
    std::string said;
    for (const auto& container : running[name]) said += " " + container;
    invariants->report("node " + name + " runs " + std::to_string(there) +
                       " containers, and the API says" + (said.empty() ? " none" : said));
  }
}

Co<void> World::State::shutDown() {
  co_await work.cancelAndJoin();
  for (const auto& [name, machine] : machines) co_await machine->stop();
  co_await pods.stop();
  co_await nodes.stop();
  if (auditConnection) co_await auditConnection->stop();
  co_await checks.cancelAndJoin();
  co_await server.stop();
}

/// A cluster that only spins gets nowhere: there it ends.
void World::State::advance(Duration by) {
  for (Duration left = by; left > Duration::zero(); left -= kStride) {
    if (invariants && invariants->isSpinning()) return;
    clock.advance(std::min(left, kStride));
  }
}

Result<Outcome> World::State::run() {
  if (Status status = runInSim(clock, startServer()); !status.ok()) return status;
  pods.start();
  nodes.start();
  if (invariants) {
    auditConnection->start();
    checks.spawn("audit", invariants->auditWatch(*auditApi, clock));
  }
  bootMachines();
  for (std::size_t i = 0; i < arrivals.size(); ++i) scheduleArrival(i);
  faults.start();
  sampleTimer = clock.scheduleIn(scenario.sample, [this] { sample(); });
  advance(scenario.duration - clock.elapsed());

  outcome.simulated = clock.elapsed();
  outcome.samples = observer.samples();
  outcome.totals = observer.totals();
  outcome.placementHash = observer.placementHash();
  clock.run(faults.finish());
  if (invariants) {
    advance(kSettle);
    outcome.simulated = clock.elapsed();
    if (!invariants->isSpinning()) checkQuiet();
    outcome.violations = invariants->violations();
    outcome.changesChecked = invariants->changes();
    outcome.watchEventsChecked = invariants->audited();
  }
  clock.cancel(sampleTimer);
  ending = true;
  outcome.events = clock.steps();
  outcome.writes = static_cast<std::uint64_t>(disk.contents().currentRevision());
  outcome.faults = faults.count();
  const auto counters = network.counters();
  outcome.packets = counters.packets;
  outcome.packetsLost = counters.lost;
  outcome.connectionsBroken = counters.broken;
  clock.run(shutDown());
  clock.runUntilIdle();
  return std::move(outcome);
}

World::World(Scenario scenario, WorldOptions options)
    : state_(std::make_unique<State>(std::move(scenario), std::move(options))) {}

World::~World() = default;

Result<Outcome> World::run() {
  return state_->run();
}

}  // namespace podlab::sim
