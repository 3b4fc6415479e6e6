#include "controllers/scheduling.hpp"

#include <algorithm>
#include <set>

#include "api/conditions.hpp"
#include "api/persistent_volumes.hpp"
#include "api/selectors.hpp"
#include "client/modify.hpp"
#include "common/log.hpp"
#include "controllers/claim_matching.hpp"

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

SchedulingController::SchedulingController(Context& context, client::EventRecorder& events)
    : context_(context),
      api_(context.api),
      clock_(context.clock),
      events_(events),
      tasks_(context.executor) {
  client::Informer::Handlers podHandlers;
  podHandlers.added = [this](const api::ObjectPtr& pod) { observe(pod); };
  podHandlers.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& pod) { observe(pod); };
  podHandlers.deleted = [this](const api::ObjectPtr& pod) {
    scheduler_.removePod(api::keyOf(*pod), clock_.now());
    changed_.notifyAll();
  };
  context_.pods.addHandlers(std::move(podHandlers));

  client::Informer::Handlers nodeHandlers;
  nodeHandlers.added = [this](const api::ObjectPtr& node) {
    scheduler_.setNode(api::share<corev1::Node>(node), clock_.now());
    changed_.notifyAll();
  };
  nodeHandlers.updated = [added = nodeHandlers.added](const api::ObjectPtr&,
                                                      const api::ObjectPtr& node) { added(node); };
  nodeHandlers.deleted = [this](const api::ObjectPtr& node) {
    scheduler_.removeNode(api::meta(*node).name());
  };
  context_.nodes.addHandlers(std::move(nodeHandlers));

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
  auto needs = needsOf(*pod);
  scheduler_.setPod(std::move(pod), clock_.now(), std::move(needs));
  changed_.notifyAll();
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

/// Where a free volume is, or one can be made.
scheduler::UnboundClaim SchedulingController::placesOf(
    const corev1::PersistentVolumeClaim& claim, const storagev1::StorageClass& storageClass) const {
  scheduler::UnboundClaim unbound;
  unbound.name = claim.metadata().name();
  if (storageClass.provisioner() == api::kLocalProvisioner) {
    auto& expression =
        *unbound.places.emplace_back().add_nodeselectorterms()->add_matchexpressions();
    expression.set_key(api::kVolumesLabel);
    expression.set_operator_("Exists");
  }
  for (const auto& object : context_.volumes.list()) {
    const auto& volume = api::as<corev1::PersistentVolume>(object);
    if (volume.metadata().has_deletiontimestamp() || volume.spec().has_claimref() ||
        !satisfies(volume, claim))
      continue;
    if (volume.spec().has_nodeaffinity()) {
      unbound.places.push_back(volume.spec().nodeaffinity().required());
    } else {
      unbound.anywhere = true;
    }
  }
  return unbound;
}

scheduler::VolumeNeeds SchedulingController::needsOf(const corev1::Pod& pod) const {
  scheduler::VolumeNeeds needs;
  // A pod that is bound has found its place.
  if (!pod.spec().nodename().empty()) return needs;
  for (const auto& name : api::claimsOf(pod)) {
    const auto object = context_.claims.get(pod.metadata().namespace_() + "/" + name);
    if (!object) {
      needs.blocked = "persistentvolumeclaim \"" + name + "\" not found";
      return needs;
    }
    const auto& claim = api::as<corev1::PersistentVolumeClaim>(object);
    if (claim.metadata().has_deletiontimestamp()) {
      needs.blocked = "persistentvolumeclaim \"" + name + "\" is being deleted";
      return needs;
    }
    if (api::isForOnePod(claim.spec().accessmodes())) needs.exclusive.push_back(api::keyOf(claim));
    const auto classObject = context_.classes.get(claim.spec().storageclassname());
    const bool pending = claim.status().phase() != "Bound" && claim.status().phase() != "Lost";
    if (pending && classObject &&
        api::waitsForConsumer(api::as<storagev1::StorageClass>(classObject))) {
      needs.unbound.push_back(placesOf(claim, api::as<storagev1::StorageClass>(classObject)));
      continue;
    }
    const auto volume = context_.volumes.get(claim.spec().volumename());
    if (claim.status().phase() != "Bound" || !volume) {
      needs.blocked = "pod has unbound immediate PersistentVolumeClaims";
      return needs;
    }
    const auto& spec = api::as<corev1::PersistentVolume>(volume).spec();
    if (spec.has_nodeaffinity()) needs.affinities.push_back(spec.nodeaffinity().required());
  }
  return needs;
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
    while (auto decision = scheduler_.decideNext(clock_.now())) {
      if (decision->node.empty()) {
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
    events_.record(
        *decision.pod, client::EventClass::kNormal, "Scheduled",
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
    return api::setCondition(*pod.mutable_status(), condition, clock_.wallNow());
  };
  api::ResourceId id{&api::kindFor<corev1::Pod>(), meta.namespace_(), meta.name(), "status"};
  auto result = co_await client::modify(api_, std::move(id), decision.pod, change);
  if (!result && !result.status().is(Code::kNotFound)) {
    logWarning("pod_status_not_written",
               {{"pod", api::keyOf(*decision.pod)}, {"error", result.status()}});
  }
}

}  // namespace podlab::controllers
