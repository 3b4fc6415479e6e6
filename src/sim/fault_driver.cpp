#include "sim/fault_driver.hpp"

#include <utility>

#include "common/log.hpp"
#include "sim/sim_server.hpp"

namespace podlab::sim {
namespace {

/// As the one that supervises it takes to start it again.
constexpr Duration kAgentRestart = std::chrono::seconds(1);

}  // namespace

FaultDriver::FaultDriver(const asio::any_io_executor& executor, Clock& clock, SimNetwork& network,
                         const Scenario& scenario, FaultTargets targets)
    : clock_(clock),
      network_(network),
      scenario_(scenario),
      targets_(std::move(targets)),
      timeline_(scenario.faults),
      begin_(clock.now()),
      tasks_(executor) {
  hosts_.insert(SimServer::kHost);
  for (const auto& group : scenario.nodes) {
    for (int i = 0; i < group.count; ++i) {
      nodes_[group.nodeName(i)] = group.labels;
      hosts_.insert(group.nodeName(i));
    }
  }
}

void FaultDriver::start() {
  begin_ = clock_.now();
  for (int i = 0; i < timeline_.entries(); ++i) scheduleNext(i, 0);
}

void FaultDriver::scheduleNext(int entry, std::uint64_t occurrence) {
  const auto time = timeline_.timeOf(entry, occurrence);
  if (!time || *time > scenario_.duration) return;
  due_[entry] =
      clock_.schedule(begin_ + *time, [this, entry, occurrence] { come(entry, occurrence); });
}

void FaultDriver::come(int entry, std::uint64_t occurrence) {
  auto config = timeline_.faultOf(entry, occurrence, nodes_);
  if (config) {
    ++count_;
    logDebug("fault", {{"time", formatTime(clock_.wallNow())},
                       {"kind", config->kind()},
                       {"what", lab::wordsFor(*config)},
                       {"for", config->for_()}});
    tasks_.spawn("fault", carryOut(std::move(*config)));
  }
  scheduleNext(entry, occurrence + 1);
}

Co<void> FaultDriver::carryOut(lab::FaultConfig config) {
  if (config.kind() == kServerKill) {
    co_await killServer(lab::parseSpan(config.for_()).value_or(lab::kDefaultLease));
    co_return;
  }
  const bool reset = config.kind() == kReset;
  if (reset) config.set_kind("agent-kill");
  const auto fault = lab::readFault(config, nodes_);
  if (!fault) co_return;  // no nodes were left to pick from
  if (reset) {
    for (const auto& node : fault->groups.front()) network_.reset(node);
    co_return;
  }
  switch (fault->kind) {
    case lab::FaultKind::kPartition:
    case lab::FaultKind::kLinkDown:
      co_await cut(*fault);
      break;
    case lab::FaultKind::kLoss:
    case lab::FaultKind::kDelay:
      co_await worsen(*fault);
      break;
    case lab::FaultKind::kNodeKill:
    case lab::FaultKind::kAgentKill:
      for (const auto& node : fault->groups.front()) {
        const bool host = fault->kind == lab::FaultKind::kNodeKill;
        tasks_.spawn("fault", kill(node, host ? fault->lease : kAgentRestart, host));
      }
      break;
    case lab::FaultKind::kRate:
    case lab::FaultKind::kNodeFreeze:
      break;  // no scenario has them
  }
}

Co<void> FaultDriver::lastFor(Duration lease) {
  if (!finishing_) (void)co_await finish_.waitUntil(clock_, clock_.now() + lease);
}

Co<void> FaultDriver::killServer(Duration lease) {
  if (std::exchange(serverDown_, true)) co_return;
  co_await targets_.crashServer();
  co_await lastFor(lease);
  co_await targets_.startServer();
  serverDown_ = false;
}

Co<void> FaultDriver::kill(std::string node, Duration lease, bool wholeHost) {
  if (!down_.insert(node).second) co_return;
  if (wholeHost) {
    co_await targets_.powerOff(node);
  } else {
    co_await targets_.crashAgent(node);
  }
  co_await lastFor(lease);
  targets_.start(node);
  down_.erase(node);
}

Co<void> FaultDriver::cut(lab::Fault fault) {
  std::vector<SimNetwork::PartitionId> cuts;
  auto groups = fault.groups;
  for (auto& group : groups) {
    // In a fault's groups the server has a name that no node has.
    if (group.erase(std::string(lab::kServerMember)) > 0) group.insert(SimServer::kHost);
  }
  if (groups.size() == 1) {
    std::set<std::string> others;
    for (const auto& host : hosts_) {
      if (!groups.front().contains(host)) others.insert(host);
    }
    groups.push_back(std::move(others));
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    for (std::size_t j = i + 1; j < groups.size(); ++j)
      cuts.push_back(network_.partition(groups[i], groups[j], fault.oneWay));
  }
  co_await lastFor(fault.lease);
  for (const auto cut : cuts) network_.heal(cut);
}

Co<void> FaultDriver::worsen(lab::Fault fault) {
  const std::uint64_t id = ++lastWorse_;
  const Duration lease = fault.lease;
  worse_[id] = std::move(fault);
  setConditions();
  co_await lastFor(lease);
  worse_.erase(id);
  setConditions();
}

void FaultDriver::setConditions() {
  std::map<std::string, LinkConditions> wanted;
  for (const auto& [id, fault] : worse_) {
    // All that hosts say goes to the server, or comes from it.
    std::set<std::string> hosts;
    for (const auto& group : fault.groups) hosts.insert(group.begin(), group.end());
    if (hosts.erase(std::string(lab::kServerMember)) > 0 && hosts.empty())
      hosts.insert(SimServer::kHost);
    for (const auto& host : hosts) {
      LinkConditions& link = wanted.emplace(host, scenario_.link).first->second;
      if (fault.kind == lab::FaultKind::kLoss) link.loss = 1 - (1 - link.loss) * (1 - fault.loss);
      link.delay += fault.delay;
      link.jitter += fault.jitter;
    }
  }
  for (const auto& host : changed_) {
    if (!wanted.contains(host)) network_.clearConditions(host);
  }
  changed_.clear();
  for (const auto& [host, link] : wanted) {
    network_.setConditions(host, link);
    changed_.insert(host);
  }
}

Co<void> FaultDriver::finish() {
  finishing_ = true;
  for (const auto& [entry, timer] : due_) clock_.cancel(timer);
  finish_.notifyAll();
  co_await tasks_.join();
}

}  // namespace podlab::sim
