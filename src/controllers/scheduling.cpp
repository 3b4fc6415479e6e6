#include "controllers/scheduling.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "policy_v1.pb.h"

#include "api/conditions.hpp"
#include "api/owners.hpp"
#include "api/persistent_volumes.hpp"
#include "api/selectors.hpp"
#include "client/modify.hpp"
#include "common/log.hpp"
#include "controllers/volume_needs.hpp"
#include "scheduler/default_selector.hpp"

namespace podlab::controllers {

using Decision = scheduler::Scheduler::Decision;

namespace {

/// How long claims may take to be bound to their pod's node (kube-scheduler's bindTimeoutSeconds).
constexpr Duration kClaimPatience = std::chrono::minutes(10);

std::string selectedNode(const corev1::PersistentVolumeClaim& claim) {
  const auto& annotations = claim.metadata().annotations();
  const auto found = annotations.find(api::kSelectedNodeAnnotation);
  return found == annotations.end() ? "" : found->second;
}

}  // namespace

SchedulingController::SchedulingController(Context& context, client::EventRecorder& events,
                                           std::vector<scheduler::Profile> profiles)
    : context_(context),
      api_(context.api),
      clock_(context.clock),
      events_(events),
      budgets_(*context.caches.of(api::kindFor<policyv1::PodDisruptionBudget>())),
      scheduler_(context.rng, std::move(profiles)),
      tasks_(context.executor) {
  watchPods();
  watchCluster();
  watchVolumes();
}

void SchedulingController::watchPods() {
  client::Informer::Handlers pods;
  pods.added = [this](const api::ObjectPtr& pod) { observe(pod); };
  pods.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& pod) { observe(pod); };
  pods.deleted = [this](const api::ObjectPtr& pod) {
    waiting_.erase(api::keyOf(*pod));
    scheduler_.removePod(api::keyOf(*pod), clock_.now());
    changed_.notifyAll();
  };
  context_.pods.addHandlers(std::move(pods));

  client::Informer::Handlers services;
  services.added = [this](const api::ObjectPtr& service) {
    servicesChanged(api::meta(*service).namespace_());
  };
  services.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& service) {
    servicesChanged(api::meta(*service).namespace_());
  };
  services.deleted = services.added;
  context_.services.addHandlers(std::move(services));

  client::Informer::Handlers budgets;
  budgets.added = [this](const api::ObjectPtr&) { budgetsChanged_ = true; };
  budgets.updated = [this](const api::ObjectPtr&, const api::ObjectPtr&) {
    budgetsChanged_ = true;
  };
  budgets.deleted = budgets.added;
  budgets_.addHandlers(std::move(budgets));
}

void SchedulingController::watchCluster() {
  client::Informer::Handlers nodes;
  nodes.added = [this](const api::ObjectPtr& node) {
    scheduler_.setNode(api::share<corev1::Node>(node), clock_.now());
    changed_.notifyAll();
  };
  nodes.updated = [added = nodes.added](const api::ObjectPtr&, const api::ObjectPtr& node) {
    added(node);
  };
  nodes.deleted = [this](const api::ObjectPtr& node) {
    scheduler_.removeNode(api::meta(*node).name(), clock_.now());
    changed_.notifyAll();
  };
  context_.nodes.addHandlers(std::move(nodes));

  client::Informer::Handlers namespaces;
  namespaces.added = [this](const api::ObjectPtr& object) {
    const auto& meta = api::meta(*object);
    scheduler_.setNamespace(meta.name(), &meta.labels(), clock_.now());
    changed_.notifyAll();
  };
  namespaces.updated = [added = namespaces.added](const api::ObjectPtr&,
                                                  const api::ObjectPtr& object) { added(object); };
  namespaces.deleted = [this](const api::ObjectPtr& object) {
    scheduler_.setNamespace(api::meta(*object).name(), nullptr, clock_.now());
    changed_.notifyAll();
  };
  context_.namespaces.addHandlers(std::move(namespaces));
}

void SchedulingController::watchVolumes() {
  client::Informer::Handlers claims;
  claims.added = [this](const api::ObjectPtr& claim) { claimChanged(api::keyOf(*claim)); };
  claims.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& claim) {
    claimChanged(api::keyOf(*claim));
  };
  claims.deleted = claims.added;
  context_.claims.addHandlers(std::move(claims));

  client::Informer::Handlers volumes;
  volumes.added = [this](const api::ObjectPtr& volume) {
    const auto& spec = api::as<corev1::PersistentVolume>(volume).spec();
    if (!spec.has_claimref()) return placesChanged();
    claimChanged(spec.claimref().namespace_() + "/" + spec.claimref().name());
  };
  volumes.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    const bool wasFree = !api::as<corev1::PersistentVolume>(before).spec().has_claimref();
    if (wasFree || !api::as<corev1::PersistentVolume>(now).spec().has_claimref()) placesChanged();
  };
  volumes.deleted = volumes.added;
  context_.volumes.addHandlers(std::move(volumes));

  client::Informer::Handlers classes;
  classes.added = [this](const api::ObjectPtr&) { placesChanged(); };
  classes.updated = [this](const api::ObjectPtr&, const api::ObjectPtr&) { placesChanged(); };
  context_.classes.addHandlers(std::move(classes));
}

void SchedulingController::observe(const api::ObjectPtr& object) {
  auto pod = api::share<corev1::Pod>(object);
  const bool isBound = !pod->spec().nodename().empty();
  if (isBound) {
    waiting_.erase(api::keyOf(*pod));
  } else {
    waiting_.try_emplace(api::keyOf(*pod));
  }
  auto needs = needsOf(*pod);
  const auto selector = isBound ? std::nullopt : selectorOf(*pod);
  scheduler_.setPod(std::move(pod), clock_.now(), std::move(needs), selector);
  changed_.notifyAll();
}

void SchedulingController::servicesChanged(const std::string& ns) {
  for (const auto& key : waiting_.keysOf(waiting_.withPrefix(ns + "/"))) {
    if (const auto pod = context_.pods.get(key)) observe(pod);
  }
}

std::optional<api::LabelSelector> SchedulingController::selectorOf(const corev1::Pod& pod) const {
  // Only a pod without constraints of its own is spread by it.
  if (pod.spec().topologyspreadconstraints_size() > 0) return std::nullopt;
  const auto& meta = pod.metadata();
  std::vector<api::ObjectPtr> services;
  for (const auto& key : context_.services.keysIn(meta.namespace_())) {
    if (auto service = context_.services.get(key)) services.push_back(std::move(service));
  }
  api::ObjectPtr owner;
  if (const auto* reference = api::controllerOf(meta)) {
    const std::string key = meta.namespace_() + "/" + reference->name();
    if (reference->kind() == "ReplicaSet") owner = context_.replicaSets.get(key);
    if (reference->kind() == "StatefulSet") owner = context_.statefulSets.get(key);
    if (reference->kind() == "ReplicationController")
      owner = context_.replicationControllers.get(key);
  }
  return scheduler::defaultSelector(pod, services, owner);
}

void SchedulingController::claimChanged(const std::string& claim) {
  for (const auto& key : context_.podsByClaim.of(claim)) {
    if (const auto pod = context_.pods.get(key)) observe(pod);
  }
  claimsChanged_.notifyAll();
}

void SchedulingController::placesChanged() {
  for (const auto& object : context_.claims.list()) {
    if (api::as<corev1::PersistentVolumeClaim>(object).spec().volumename().empty())
      claimChanged(api::keyOf(*object));
  }
}

scheduler::VolumeNeeds SchedulingController::needsOf(const corev1::Pod& pod) const {
  // A pod that is bound has found its place.
  if (!pod.spec().nodename().empty()) return {};
  return volumeNeeds(
      pod, {.claim = [this](const std::string& key) { return context_.claims.get(key); },
            .volume = [this](const std::string& name) { return context_.volumes.get(name); },
            .storageClass = [this](const std::string& name) { return context_.classes.get(name); },
            .volumes = [this] { return context_.volumes.list(); }});
}

void SchedulingController::start() {
  tasks_.spawn("scheduling", run());
}

Co<void> SchedulingController::stop() {
  co_await tasks_.cancelAndJoin();
}

Co<void> SchedulingController::run() {
  // Without all pods the nodes would look emptier than they are.
  co_await context_.waitForSync();
  for (;;) {
    if (std::exchange(budgetsChanged_, false))
      scheduler_.setBudgets(scheduler::readBudgets(budgets_.list()));
    while (auto decision = scheduler_.decideNext(clock_.now())) {
      if (decision->node.empty()) {
        if (!decision->victims.empty()) tasks_.spawn("preempt", evict(*decision));
        for (auto& key : decision->displaced)
          tasks_.spawn("clear nomination", clearNomination(std::move(key)));
        tasks_.spawn("report unschedulable", reportUnschedulable(std::move(*decision)));
      } else {
        tasks_.spawn("bind", bind(std::move(*decision)));
      }
    }
    if (const auto due = scheduler_.nextDue()) {
      co_await changed_.waitUntil(clock_, *due);
    } else {
      co_await changed_.wait();
    }
  }
}

Co<Status> SchedulingController::bindClaims(scheduler::PodPtr pod, std::string node) {
  const std::string& ns = pod->metadata().namespace_();
  const MonoTime deadline = clock_.now() + kClaimPatience;
  const auto begun = needsOf(*pod).unbound;
  for (const auto& claim : begun) {
    client::Change select = [&node](google::protobuf::Message& object) {
      auto& changed = static_cast<corev1::PersistentVolumeClaim&>(object);
      if (!changed.spec().volumename().empty() || selectedNode(changed) == node) return false;
      auto& annotations = *changed.mutable_metadata()->mutable_annotations();
      annotations[api::kSelectedNodeAnnotation] = node;
      return true;
    };
    api::ResourceId id{&api::kindFor<corev1::PersistentVolumeClaim>(), ns, claim.name, ""};
    auto selected = co_await client::modify(api_, std::move(id), nullptr, std::move(select));
    if (!selected.ok()) co_return selected.status();
  }
  std::set<std::string> seen;
  for (;;) {
    const auto now = context_.pods.get(api::keyOf(*pod));
    if (!now || api::meta(*now).uid() != pod->metadata().uid())
      co_return Status(Code::kNotFound, "the pod is gone");
    const auto needs = needsOf(*pod);
    if (!needs.blocked.empty()) co_return Status(Code::kConflict, needs.blocked);
    if (needs.unbound.empty()) {
      const auto object = context_.nodes.get(node);
      const bool fits = object && std::ranges::all_of(needs.affinities, [&](const auto& affinity) {
                          return api::matchesNodeSelector(affinity, api::as<corev1::Node>(object));
                        });
      co_return fits ? Status() : Status(Code::kConflict, "a volume was bound on another node");
    }
    for (const auto& claim : needs.unbound) {
      const auto object = context_.claims.get(ns + "/" + claim.name);
      const bool holds =
          object && selectedNode(api::as<corev1::PersistentVolumeClaim>(object)) == node;
      if (holds) seen.insert(claim.name);
      // What was chosen here, and was taken back, as the cache shows.
      if (!holds && seen.contains(claim.name))
        co_return Status(Code::kConflict,
                         "claim \"" + claim.name + "\" cannot be bound on node \"" + node + "\"");
    }
    if (clock_.now() >= deadline) co_return Status(Code::kTimeout, "timed out waiting for claims");
    co_await claimsChanged_.waitUntil(clock_, deadline);
  }
}

Co<void> SchedulingController::bind(Decision decision) {
  const auto& meta = decision.pod->metadata();
  if (!api::claimsOf(*decision.pod).empty()) {
    Status bound = co_await bindClaims(decision.pod, decision.node);
    if (!bound.ok()) {
      if (!bound.is(Code::kNotFound)) {
        events_.record(
            *decision.pod, client::EventClass::kWarning, "FailedScheduling",
            "running PreBind plugin \"VolumeBinding\": binding volumes: " + bound.message());
      }
      scheduler_.bindFailed(api::keyOf(*decision.pod), clock_.now());
      changed_.notifyAll();
      co_return;
    }
  }
  auto binding = std::make_shared<corev1::Binding>();
  binding->mutable_metadata()->set_name(meta.name());
  binding->mutable_metadata()->set_namespace_(meta.namespace_());
  binding->mutable_metadata()->set_uid(meta.uid());
  binding->mutable_target()->set_apiversion("v1");
  binding->mutable_target()->set_kind("Node");
  binding->mutable_target()->set_name(decision.node);
  api::ResourceId id{&api::kindFor<corev1::Pod>(), meta.namespace_(), meta.name(), "binding"};
  api::WriteOptions options;
  auto result = co_await api_.create(std::move(id), std::move(binding), std::move(options));
  if (result) {
    events_.record(*decision.pod, client::EventClass::kNormal, "Scheduled",
                   "Successfully assigned " + api::keyOf(*decision.pod) + " to " + decision.node);
    co_return;
  }
  // A pod that was deleted or bound meanwhile comes, or goes, by the cache.
  if (!result.status().is(Code::kNotFound) && !result.status().is(Code::kConflict)) {
    logWarning("bind_failed", {{"pod", api::keyOf(*decision.pod)}, {"error", result.status()}});
  }
  scheduler_.bindFailed(api::keyOf(*decision.pod), clock_.now());
  changed_.notifyAll();
}

Co<void> SchedulingController::reportUnschedulable(Decision decision) {
  const std::string message = decision.choice.diagnosis.toString();
  events_.record(*decision.pod, client::EventClass::kWarning, "FailedScheduling", message);
  const auto& meta = decision.pod->metadata();
  const api::ConditionState condition{"PodScheduled", "False", "Unschedulable", message};
  client::Change change = [&](google::protobuf::Message& object) {
    auto& pod = static_cast<corev1::Pod&>(object);
    // Replaced or bound meanwhile.
    if (pod.metadata().uid() != meta.uid() || !pod.spec().nodename().empty()) return false;
    const bool isNamed =
        decision.nominated && pod.status().nominatednodename() != *decision.nominated;
    if (isNamed) {
      pod.mutable_status()->clear_nominatednodename();
      if (!decision.nominated->empty())
        pod.mutable_status()->set_nominatednodename(*decision.nominated);
    }
    return api::setCondition(*pod.mutable_status(), condition, clock_.wallNow()) || isNamed;
  };
  api::ResourceId id{&api::kindFor<corev1::Pod>(), meta.namespace_(), meta.name(), "status"};
  auto result = co_await client::modify(api_, std::move(id), decision.pod, change);
  if (!result && !result.status().is(Code::kNotFound)) {
    logWarning("pod_status_not_written",
               {{"pod", api::keyOf(*decision.pod)}, {"error", result.status()}});
  }
}

}  // namespace podlab::controllers
