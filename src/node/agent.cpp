#include "node/agent.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "api/quantity.hpp"
#include "common/log.hpp"

namespace podlab::node {
namespace {

/// Nodes that come together change the peers together.
constexpr Duration kPeerDebounce = std::chrono::milliseconds(5);
/// kubelet's period of looking at its resources.
constexpr Duration kPressurePeriod = std::chrono::seconds(10);
constexpr Duration kFirstRetry = std::chrono::milliseconds(200);
constexpr Duration kLastRetry = std::chrono::seconds(10);

std::vector<net::Cidr> rangesOf(const corev1::Node& node) {
  std::vector<net::Cidr> ranges;
  for (const auto& text : node.spec().podcidrs()) {
    auto range = net::Cidr::parse(text);
    if (range.ok()) {
      ranges.push_back(*range);
    } else {
      logError("node_range_invalid", {{"range", text}, {"error", range.status()}});
    }
  }
  return ranges;
}

/// Those of the peers whose nodes are Ready, and so should answer.
std::vector<Peer> readyOnes(const std::vector<Peer>& peers,
                            const std::vector<std::shared_ptr<const corev1::Node>>& nodes) {
  std::set<std::string_view> ready;
  for (const auto& node : nodes) {
    if (api::isTrue(node->status(), "Ready")) ready.insert(node->metadata().name());
  }
  std::vector<Peer> chosen;
  for (const auto& peer : peers) {
    if (ready.contains(peer.node)) chosen.push_back(peer);
  }
  return chosen;
}

std::string joined(const std::vector<net::Cidr>& ranges) {
  std::string text;
  for (const auto& range : ranges) text += (text.empty() ? "" : ",") + range.toString();
  return text;
}

}  // namespace

Agent::Agent(AgentDependencies dependencies, AgentOptions options)
    : dependencies_(std::move(dependencies)),
      options_(std::move(options)),
      checkpoints_(dependencies_.files, options_.stateFolder),
      addresses_(dependencies_.files, dependencies_.blocking, options_.stateFolder + "/addresses"),
      statuses_(dependencies_.api, dependencies_.clock, dependencies_.executor, options_.limits),
      events_(dependencies_.api, dependencies_.clock, dependencies_.executor, "podlab-agent",
              options_.nodeName),
      prober_(dependencies_.clock, dependencies_.runtime, dependencies_.dialer),
      objects_(dependencies_.api, dependencies_.clock, dependencies_.rng, dependencies_.executor),
      policies_(dependencies_.api, dependencies_.clock, dependencies_.rng, dependencies_.executor,
                dependencies_.dataplane),
      peerChecks_(dependencies_.dataplane, dependencies_.clock, dependencies_.rng,
                  dependencies_.executor, options_.nodeName,
                  [this](const PeerHealth& health) { tellOfPeers(health); }),
      tasks_(dependencies_.executor) {
  if (options_.warningsOnly) events_.recordWarningsOnly();
}

Agent::~Agent() = default;

void Agent::requestStop() {
  stopRequested_ = true;
  changed_.notifyAll();
}

Co<Status> Agent::run() {
  tasks_.spawn("begin", serve());
  while (!stopRequested_ && failure_.ok()) co_await changed_.wait();
  co_await shutDown();
  co_return failure_;
}

Co<void> Agent::serve() {
  failure_ = co_await begin();
  if (failure_.ok()) {
    tasks_.spawn("network", keepNetwork());
    if (hasPeers_) tasks_.spawn("peers", keepPeers());
    tasks_.spawn("pods", keepPods());
    if (options_.pressure) tasks_.spawn("pressure", keepPressure());
  } else {
    changed_.notifyAll();
  }
}

Co<Status> Agent::begin() {
  auto& deps = dependencies_;
  auto network = co_await deps.dataplane.discover();
  if (!network.ok()) co_return network.status().withContext("the node's underlay");
  auto version = co_await deps.runtime.version();
  if (!version.ok()) co_return version.status().withContext("the container runtime");

  underlay_ = network->underlay;
  hasPeers_ = network->vxlanMac.has_value();
  NodeFacts facts;
  facts.name = options_.nodeName;
  facts.labels = options_.labels;
  facts.taints = options_.taints;
  facts.capacity = options_.capacity;
  facts.network = *network;
  facts.system = options_.system;
  facts.system.set_containerruntimeversion(*version);
  facts.volumesFolder = options_.volumesFolder;
  corev1::Node self = makeNode(facts);
  updateStatus(*self.mutable_status(), facts, NodeReadiness(), NodePressure(), /*heartbeat=*/false,
               deps.clock.wallNow());

  std::vector<std::string> hostIps;
  for (const auto& address : network->underlay) hostIps.push_back(address.toString());
  pods_ = std::make_unique<PodManager>(PodServices{
      .executor = deps.executor,
      .clock = deps.clock,
      .api = deps.api,
      .dataplane = deps.dataplane,
      .runtime = deps.runtime,
      .images = deps.images,
      .volumes = deps.volumes,
      .prober = prober_,
      .files = deps.files,
      .addresses = addresses_,
      .statuses = statuses_,
      .events = events_,
      .checkpoints = checkpoints_,
      .objects = objects_,
      .policies = policies_,
      .allocatable = api::toResourceList(self.status().allocatable()),
      .node = std::move(self),
      .nodeName = options_.nodeName,
      .stateFolder = options_.stateFolder,
      .hostIps = std::move(hostIps),
      .runtimeName = version->substr(0, version->find(':')),
      .dns = options_.dns,
      .nodeMemory = api::Quantity::parse(options_.capacity["memory"]).valueOr({}).value(),
      .podPidsLimit = options_.podPidsLimit,
      .keepsRecords = options_.keepsRecords,
      .parksPods = options_.parksPods,
      .limits = options_.limits,
      .limitsMissing = options_.limitsMissing,
      .apiServer = options_.apiServer,
      .standInProgram = options_.standInProgram});
  // While the server is away, the node goes on with the ranges that it had.
  if (auto record = checkpoints_.loadNode()) {
    std::vector<net::Cidr> ranges;
    for (const auto& text : record->podranges()) {
      auto range = net::Cidr::parse(text);
      if (range.ok()) ranges.push_back(*range);
    }
    wantedRanges_ = ranges;
    Status opened = addresses_.setRanges(std::move(ranges));
    if (!opened.ok()) logError("addresses_not_read", {{"error", opened}});
  }
  Status recovered = co_await pods_->recover();
  if (!recovered.ok()) co_return recovered;
  if (hasPeers_) {
    policies_.start();
  } else {
    policies_.disable();
  }
  registration_ =
      std::make_unique<NodeRegistration>(deps.api, deps.clock, deps.rng, deps.executor, deps.images,
                                         std::move(facts), options_.intervals);
  postReadiness();
  registration_->start();
  if (hasPeers_) peerChecks_.start();
  watchNodes();
  if (!options_.volumesFolder.empty()) {
    reclaimer_ =
        std::make_unique<VolumeReclaimer>(deps.api, deps.clock, deps.rng, deps.executor,
                                          deps.volumes, options_.nodeName, options_.volumesFolder);
    reclaimer_->start();
  }
  co_return Status();
}

/// All of them, or without peers this one.
void Agent::watchNodes() {
  api::ResourceId all{&api::kindFor<corev1::Node>(), "", "", ""};
  nodes_ = std::make_unique<client::Informer>(
      dependencies_.api, dependencies_.clock, dependencies_.rng, dependencies_.executor, all, "",
      hasPeers_ ? "" : "metadata.name=" + options_.nodeName);
  // Of hollow nodes there may be thousands, and none is a peer.
  const auto peerMoved = [this](const api::ObjectPtr& node) {
    if (!api::meta(*node).annotations().contains(kVxlanMacAnnotation)) return;
    peersDirty_ = true;
    changed_.notifyAll();
  };
  const auto isOwn = [this](const api::ObjectPtr& node) {
    return api::meta(*node).name() == options_.nodeName;
  };
  client::Informer::Handlers handlers;
  handlers.added = [=, this](const api::ObjectPtr& node) {
    isOwn(node) ? ownNode(node) : peerMoved(node);
  };
  handlers.updated = [=, this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    if (isOwn(now)) {
      ownNode(now);
    } else {
      peerMoved(before);
      peerMoved(now);
    }
  };
  handlers.deleted = [=, this](const api::ObjectPtr& last) {
    isOwn(last) ? registration_->observe(nullptr) : peerMoved(last);
  };
  nodes_->addHandlers(std::move(handlers));
  nodes_->start();
}

void Agent::ownNode(const api::ObjectPtr& node) {
  registration_->observe(node);
  auto ranges = rangesOf(api::as<corev1::Node>(node));
  if (ranges.empty() || ranges == wantedRanges_) return;
  wantedRanges_ = std::move(ranges);
  changed_.notifyAll();
}

Co<void> Agent::keepNetwork() {
  Duration retry = kFirstRetry;
  for (;;) {
    while (wantedRanges_ == ranges_) co_await changed_.wait();
    auto ranges = wantedRanges_;
    Status status = co_await configureNetwork(ranges);
    if (status.ok()) {
      retry = kFirstRetry;
      ranges_ = ranges;
      logInfo("network_up", {{"node", options_.nodeName}, {"ranges", joined(ranges)}});
      network_ = Status();
      postReadiness();
      peersDirty_ = true;
      changed_.notifyAll();
      pods_->networkIsUp();
      continue;
    }
    logError("network_failed", {{"node", options_.nodeName}, {"error", status}});
    network_ = std::move(status);
    postReadiness();
    co_await dependencies_.clock.sleepFor(retry);
    retry = std::min(2 * retry, kLastRetry);
  }
}

Co<Status> Agent::configureNetwork(std::vector<net::Cidr> ranges) {
  NodeNetwork network;
  network.podRanges = ranges;
  network.clusterRanges = options_.clusterRanges;
  network.backend = options_.backend;
  Status configured = co_await dependencies_.dataplane.configureNode(std::move(network));
  if (!configured.ok()) co_return configured;
  Status opened = addresses_.setRanges(ranges);
  if (!opened.ok()) co_return opened;
  records::NodeRecord record;
  for (const auto& range : ranges) record.add_podranges(range.toString());
  co_return checkpoints_.saveNode(record);
}

Co<void> Agent::keepPeers() {
  // Without the list of nodes, what the kernel has from the last agent is better than nothing.
  co_await nodes_->waitForSync();
  std::optional<std::vector<Peer>> present;
  Duration retry = kFirstRetry;
  for (;;) {
    while (!peersDirty_ || ranges_.empty()) co_await changed_.wait();
    co_await dependencies_.clock.sleepFor(kPeerDebounce);
    peersDirty_ = false;
    std::vector<std::shared_ptr<const corev1::Node>> all;
    for (const auto& node : nodes_->list()) all.push_back(api::share<corev1::Node>(node));
    heedClashes(all);
    auto peers = peersOf(all, options_.nodeName);
    Status status;
    if (present != peers) status = co_await dependencies_.dataplane.setPeers(peers);
    if (status.ok()) {
      retry = kFirstRetry;
      peerChecks_.setPeers(readyOnes(peers, all));
      present = std::move(peers);
      continue;
    }
    logError("peers_failed", {{"node", options_.nodeName}, {"error", status}});
    peersDirty_ = true;
    co_await dependencies_.clock.sleepFor(retry);
    retry = std::min(2 * retry, kLastRetry);
  }
}

std::vector<Peer> Agent::peers() const {
  std::vector<std::shared_ptr<const corev1::Node>> all;
  if (nodes_ == nullptr) return {};
  for (const auto& node : nodes_->list()) all.push_back(api::share<corev1::Node>(node));
  return peersOf(all, options_.nodeName);
}

void Agent::tellOfPeers(const PeerHealth& health) {
  registration_->setPeerHealth(health);
  // All well at the start is no news.
  if (health.problem || peersInTrouble_)
    events_.record(client::referenceToNode(options_.nodeName),
                   health.problem ? client::EventClass::kWarning : client::EventClass::kNormal,
                   health.reason, health.message);
  peersInTrouble_ = health.problem;
}

/// Two nodes of one address, as by the NAT interfaces of Vagrant's machines, would take each
/// other's packets. One that is away may have left its address to this node.
void Agent::heedClashes(const std::vector<std::shared_ptr<const corev1::Node>>& nodes) {
  std::string clash;
  for (const auto& node : nodes) {
    const auto* ready = api::findCondition(node->status(), "Ready");
    if (node->metadata().name() == options_.nodeName || ready == nullptr ||
        ready->status() == "Unknown")
      continue;
    for (const auto& address : node->status().addresses()) {
      const auto parsed = net::IpAddress::parse(address.address());
      if (address.type() != "InternalIP" || !parsed ||
          std::ranges::find(underlay_, *parsed) == underlay_.end())
        continue;
      clash = "node \"" + node->metadata().name() + "\" has the same address " + address.address() +
              "; give each node its own by --node-ip or --underlay";
    }
  }
  if (clash == clash_) return;
  clash_ = std::move(clash);
  if (!clash_.empty()) logError("node_address_clash", {{"error", clash_}});
  postReadiness();
}

Co<void> Agent::keepPods() {
  while (ranges_.empty()) co_await changed_.wait();
  api::ResourceId all{&api::kindFor<corev1::Pod>(), "", "", ""};
  podInformer_ = std::make_unique<client::Informer>(dependencies_.api, dependencies_.clock,
                                                    dependencies_.rng, dependencies_.executor, all,
                                                    "", "spec.nodeName=" + options_.nodeName);
  client::Informer::Handlers handlers;
  handlers.added = [this](const api::ObjectPtr& pod) { pods_->upsert(pod); };
  handlers.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    // Another pod of the same name.
    if (api::meta(*before).uid() != api::meta(*now).uid()) pods_->removed(before);
    pods_->upsert(now);
  };
  handlers.deleted = [this](const api::ObjectPtr& last) { pods_->removed(last); };
  podInformer_->addHandlers(std::move(handlers));
  podInformer_->start();
  co_await podInformer_->waitForSync();
  // Ready says also that the pods' statuses at the server are of this boot of the node.
  co_await pods_->untilTurnsTaken();
  pods_->report();
  const auto pods = podInformer_->list();
  for (const auto& pod : pods) co_await statuses_.flush(api::meta(*pod).uid());
  podsAreReported_ = true;
  postReadiness();
  // More pods may have come meanwhile.
  co_await pods_->reconcile(podInformer_->list());
}

Co<void> Agent::keepPressure() {
  PressureMemory memory;
  for (;;) {
    const auto seen = co_await dependencies_.blocking.run(options_.pressure);
    registration_->setPressure(memory.update(seen, dependencies_.clock.now()));
    co_await dependencies_.clock.sleepFor(kPressurePeriod);
  }
}

void Agent::postReadiness() {
  NodeReadiness readiness;
  if (!network_.ok()) {
    readiness.message = "the network is not up: " + network_.message();
  } else if (!clash_.empty()) {
    readiness.message = clash_;
  } else if (!podsAreReported_) {
    readiness.message = "the statuses of the pods are not reported yet";
  } else {
    readiness.ready = true;
  }
  registration_->setReadiness(std::move(readiness));
}

Co<void> Agent::shutDown() {
  co_await tasks_.cancelAndJoin();
  if (podInformer_ != nullptr) co_await podInformer_->stop();
  if (nodes_ != nullptr) co_await nodes_->stop();
  if (registration_ != nullptr) co_await registration_->stop();
  if (pods_ != nullptr) co_await pods_->stop();
  if (reclaimer_ != nullptr) co_await reclaimer_->stop();
  co_await peerChecks_.stop();
  co_await policies_.stop();
  co_await objects_.stop();
  co_await statuses_.stop();
  co_await events_.stop();
}

}  // namespace podlab::node
