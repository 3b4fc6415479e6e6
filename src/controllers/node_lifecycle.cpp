#include "controllers/node_lifecycle.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "api/taints.hpp"
#include "api/times.hpp"
#include "common/log.hpp"

namespace podlab::controllers {
namespace {

using client::EventClass;

constexpr std::size_t kWorkers = 8;
constexpr Duration kBeforeMarkingAgain = std::chrono::seconds(1);
constexpr std::array<const char*, 4> kConditions{"Ready", "MemoryPressure", "DiskPressure",
                                                 "PIDPressure"};

api::ResourceId nodeId(const std::string& name, const char* subresource) {
  return {&api::kindFor<corev1::Node>(), "", name, subresource};
}

std::string readyStatus(const corev1::Node& node) {
  const auto* ready = api::findCondition(node.status(), "Ready");
  return ready == nullptr ? "" : ready->status();
}

bool isUnknown(const corev1::Node& node) {
  return readyStatus(node) == "Unknown";
}

/// Whether the agent itself has written the node's condition meanwhile.
bool agentReported(const corev1::Node& before, const corev1::Node& now) {
  const auto* last = api::findCondition(now.status(), "Ready");
  if (last == nullptr || last->status() == "Unknown") return false;
  const auto* first = api::findCondition(before.status(), "Ready");
  return first == nullptr || first->status() != last->status() ||
         api::toWallTime(first->lastheartbeattime()) != api::toWallTime(last->lastheartbeattime());
}

/// A taint that this controller keeps, and whether the node should have it now.
struct Rule {
  std::string_view key;
  std::string_view effect;
  bool wanted;
};

}  // namespace

NodeLifecycleController::NodeLifecycleController(Context& context, Duration grace)
    : context_(context),
      grace_(grace),
      reconciler_("node_lifecycle", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  client::Informer::Handlers nodes;
  nodes.added = [this](const api::ObjectPtr& node) {
    const std::string& name = api::meta(*node).name();
    lives_[name] = {context_.clock.now(), isUnknown(api::as<corev1::Node>(node))};
    reconciler_.add(name);
    if (!context_.nodes.synced()) return;
    context_.events.record(referenceToNode(name), EventClass::kNormal, "RegisteredNode",
                           "Node " + name + " event: Registered Node " + name + " in Controller");
  };
  nodes.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    observeStatus(api::as<corev1::Node>(before), api::as<corev1::Node>(now));
    reconciler_.add(api::meta(*now).name());
  };
  nodes.deleted = [this](const api::ObjectPtr& node) {
    const std::string& name = api::meta(*node).name();
    lives_.erase(name);
    context_.events.record(referenceToNode(name), EventClass::kNormal, "RemovingNode",
                           "Node " + name + " event: Removing Node " + name + " from Controller");
  };
  context_.nodes.addHandlers(std::move(nodes));

  client::Informer::Handlers leases;
  leases.added = [this](const api::ObjectPtr& lease) { observeLife(api::meta(*lease).name()); };
  leases.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& lease) {
    observeLife(api::meta(*lease).name());
  };
  context_.leases.addHandlers(std::move(leases));

  // A pod that says it is ready while its node is away: its status was written before, or the agent
  // is back and has not reported its node yet, and would say it again at once.
  client::Informer::Handlers pods;
  pods.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& now) {
    const auto& pod = api::as<corev1::Pod>(now);
    if (!api::isTrue(pod.status(), "Ready")) return;
    const auto node = lives_.find(pod.spec().nodename());
    if (node != lives_.end() && node->second.unknown)
      reconciler_.addAfter(node->first, kBeforeMarkingAgain);
  };
  context_.pods.addHandlers(std::move(pods));
}

void NodeLifecycleController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

void NodeLifecycleController::observeLife(const std::string& name) {
  if (const auto node = lives_.find(name); node != lives_.end())
    node->second.seen = context_.clock.now();
}

void NodeLifecycleController::observeStatus(const corev1::Node& before, const corev1::Node& now) {
  if (agentReported(before, now)) observeLife(now.metadata().name());
  lives_.at(now.metadata().name()).unknown = isUnknown(now);
  const bool wasReady = readyStatus(before) == "True";
  const bool isReady = readyStatus(now) == "True";
  if (wasReady == isReady) return;
  const std::string& name = now.metadata().name();
  const std::string reason = isReady ? "NodeReady" : "NodeNotReady";
  logInfo("node_readiness", {{"node", name}, {"ready", isReady}});
  context_.events.record(referenceToNode(name), EventClass::kNormal, reason,
                         "Node " + name + " status is now: " + reason);
}

Co<Status> NodeLifecycleController::reconcile(std::string name) {
  const auto object = context_.nodes.get(name);
  if (!object) co_return Status();
  const auto& node = api::as<corev1::Node>(object);
  const MonoTime deadline = lives_.at(name).seen + grace_;
  if (deadline <= context_.clock.now()) {
    // The change comes back by the cache, for the taints and pods.
    if (!isUnknown(node)) co_return co_await markUnknown(node);
  } else {
    reconciler_.addAfter(name, deadline - context_.clock.now());
  }
  if (auto taints = adjustedTaints(node)) {
    auto tainted = std::make_shared<corev1::Node>(node);
    *tainted->mutable_spec()->mutable_taints() = std::move(*taints);
    auto id = nodeId(name, "");
    api::WriteOptions options;
    auto written = co_await context_.api.update(std::move(id), tainted, std::move(options));
    if (!written && !written.status().is(Code::kNotFound)) co_return written.status();
  }
  if (isUnknown(node)) co_return co_await markPodsNotReady(name);
  co_return Status();
}

Co<Status> NodeLifecycleController::markUnknown(const corev1::Node& node) {
  auto next = std::make_shared<corev1::Node>(node);
  logWarning("node_unreachable", {{"node", node.metadata().name()}});
  for (const char* type : kConditions) {
    const bool posted = api::findCondition(node.status(), type) != nullptr;
    const api::ConditionState state{type, "Unknown",
                                    posted ? "NodeStatusUnknown" : "NodeStatusNeverUpdated",
                                    posted ? "The node's agent stopped posting node status."
                                           : "The node's agent never posted node status."};
    api::setCondition(*next->mutable_status(), state, context_.clock.wallNow());
  }
  // The heartbeats stay the agent's.
  for (auto& condition : *next->mutable_status()->mutable_conditions()) {
    const auto* posted = api::findCondition(node.status(), condition.type());
    condition.clear_lastheartbeattime();
    if (posted != nullptr) *condition.mutable_lastheartbeattime() = posted->lastheartbeattime();
  }
  auto id = nodeId(node.metadata().name(), "status");
  api::WriteOptions options;
  auto written = co_await context_.api.update(std::move(id), next, std::move(options));
  if (written.status().is(Code::kNotFound)) co_return Status();
  co_return written.status();
}

Co<Status> NodeLifecycleController::markPodsNotReady(std::string name) {
  for (const auto& key : context_.podsByNode.of(name)) {
    const auto object = context_.pods.get(key);
    if (!object || !api::isTrue(api::as<corev1::Pod>(object).status(), "Ready")) continue;
    auto pod = std::make_shared<corev1::Pod>(api::as<corev1::Pod>(object));
    const api::ConditionState state{"Ready", "False", "NodeNotReady",
                                    "node " + name + " is unreachable"};
    api::setCondition(*pod->mutable_status(), state, context_.clock.wallNow());
    api::ResourceId id{&api::kindFor<corev1::Pod>(), pod->metadata().namespace_(),
                       pod->metadata().name(), "status"};
    api::WriteOptions options;
    auto written = co_await context_.api.update(std::move(id), pod, std::move(options));
    if (!written && !written.status().is(Code::kNotFound)) co_return written.status();
  }
  co_return Status();
}

// A node whose agent has not reported yet keeps the taint with which it registered.
std::optional<api::Taints> NodeLifecycleController::adjustedTaints(const corev1::Node& node) const {
  const std::string ready = readyStatus(node);
  std::vector<Rule> rules{
      {api::kTaintUnschedulable, api::kNoSchedule, node.spec().unschedulable()}};
  if (!ready.empty()) {
    for (const auto effect : {api::kNoSchedule, api::kNoExecute}) {
      rules.push_back({api::kTaintNotReady, effect, ready == "False"});
      rules.push_back({api::kTaintUnreachable, effect, ready == "Unknown"});
    }
  }
  const auto pressure = [&](std::string_view key, const char* type) {
    rules.push_back({key, api::kNoSchedule, api::isTrue(node.status(), type)});
  };
  pressure(api::kTaintMemoryPressure, "MemoryPressure");
  pressure(api::kTaintDiskPressure, "DiskPressure");
  pressure(api::kTaintPidPressure, "PIDPressure");
  std::optional<api::Taints> adjusted;
  for (const Rule& rule : rules) {
    const bool present = api::findTaint(node, rule.key, rule.effect) != nullptr;
    if (present == rule.wanted) continue;
    if (!adjusted) adjusted = node.spec().taints();
    auto& taints = *adjusted;
    if (rule.wanted) {
      auto& added = *taints.Add();
      added.set_key(std::string(rule.key));
      added.set_effect(std::string(rule.effect));
      *added.mutable_timeadded() = api::toTime(context_.clock.wallNow());
    } else {
      const auto kept = std::remove_if(taints.begin(), taints.end(), [&](const auto& taint) {
        return taint.key() == rule.key && taint.effect() == rule.effect;
      });
      taints.DeleteSubrange(static_cast<int>(kept - taints.begin()),
                            static_cast<int>(taints.end() - kept));
    }
  }
  return adjusted;
}

}  // namespace podlab::controllers
