#include "controllers/deployment_rollout.hpp"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "api/conditions.hpp"
#include "api/field_errors.hpp"
#include "api/kinds.hpp"
#include "api/owners.hpp"
#include "client/modify.hpp"
#include "controllers/deployment_revisions.hpp"
#include "controllers/deployment_status.hpp"
#include "controllers/owned_pods.hpp"

namespace podlab::controllers {
namespace {

using appsv1::Deployment;
using appsv1::ReplicaSet;
using google::protobuf::Message;

api::ResourceId idOfSet(const metav1::ObjectMeta& metadata) {
  return {&api::kindFor<ReplicaSet>(), metadata.namespace_(), metadata.name(), ""};
}

}  // namespace

DeploymentRollout::DeploymentRollout(Context& context, client::EventRecorder& events,
                                     std::shared_ptr<const Deployment> deployment,
                                     const std::vector<api::ObjectPtr>& sets)
    : context_(context), events_(events), before_(std::move(deployment)), deployment_(*before_) {
  for (const auto& set : sets)
    older_.push_back(std::make_shared<ReplicaSet>(api::as<ReplicaSet>(set)));
}

ReplicaSets DeploymentRollout::all() const {
  ReplicaSets sets = older_;
  if (newest_) sets.push_back(newest_);
  return sets;
}

Co<Status> DeploymentRollout::run() {
  const Status stepped = co_await step();
  const Status written = co_await writeDeployment();
  co_return stepped.ok() ? written : stepped;
}

Co<Status> DeploymentRollout::step() {
  if (isDeleted()) {
    newest_ = findNewest(deployment_, older_);
    std::erase(older_, newest_);
    conclude(false);
    co_return Status();
  }
  notePause();
  if (Status found = co_await takeNewest(false); !found) co_return found;
  if (deployment_.spec().paused() || hasNewSize()) co_return co_await scale();
  co_return isRolling(deployment_) ? co_await roll() : co_await recreate();
}

Co<Status> DeploymentRollout::roll() {
  if (!newest_) {
    if (Status made = co_await takeNewest(true); !made) co_return made;
    if (!newest_) co_return Status();  // the namespace goes, and the deployment with it
  }
  const std::int32_t present = newest_->spec().replicas();
  const std::int32_t wanted = sizeOfNewest(deployment_, all(), present);
  Status resized;
  if (wanted != present) {
    resized = co_await resize(newest_, wanted);
  } else if (Sizes sizes = shrinkOlder(deployment_, *newest_, older_); !sizes.empty()) {
    resized = co_await resizeAll(std::move(sizes));
  } else if (isComplete(deployment_, deployment_.status())) {
    resized = co_await cleanUp();
  }
  conclude(true);
  co_return resized;
}

Co<Status> DeploymentRollout::recreate() {
  Sizes sizes;
  for (const auto& set : active(older_)) sizes.emplace_back(set, 0);
  Status resized;
  if (!sizes.empty()) {
    resized = co_await resizeAll(std::move(sizes));
  } else if (!oldPodsRun()) {
    if (!newest_) resized = co_await takeNewest(true);
    if (resized.ok() && newest_ && newest_->spec().replicas() != deployment_.spec().replicas())
      resized = co_await resize(newest_, deployment_.spec().replicas());
    if (resized.ok() && isComplete(deployment_, deployment_.status())) resized = co_await cleanUp();
  }
  conclude(true);
  co_return resized;
}

// Paused deployments are scaled, too, but not rolled out.
Co<Status> DeploymentRollout::scale() {
  Status scaled = co_await resizeAll(scaleAll(deployment_, newest_, older_));
  if (scaled.ok() && deployment_.spec().paused()) scaled = co_await cleanUp();
  conclude(false);
  co_return scaled;
}

Co<Status> DeploymentRollout::takeNewest(bool make) {
  newest_ = findNewest(deployment_, older_);
  std::erase(older_, newest_);
  std::int64_t revision = 1;
  for (const auto& set : older_) revision = std::max(revision, revisionOf(*set) + 1);
  if (!newest_) {
    if (make) co_return co_await makeNewest(revision);
    co_return Status();
  }
  bool changed = noteRevision(*newest_, deployment_, revision);
  if (newest_->spec().minreadyseconds() != deployment_.spec().minreadyseconds()) {
    newest_->mutable_spec()->set_minreadyseconds(deployment_.spec().minreadyseconds());
    changed = true;
  }
  if (changed) {
    if (Status written = co_await writeSet(newest_); !written) co_return written;
  }
  noteRevisionOfDeployment(revisionOf(*newest_));
  if (hasProgressDeadline(deployment_) &&
      findCondition(deployment_.status(), kProgressing) == nullptr) {
    setCondition(*deployment_.mutable_status(), kProgressing, "True", "FoundNewReplicaSet",
                 "Found new replica set " + api::quoted(newest_->metadata().name()), now());
  }
  co_return Status();
}

Co<Status> DeploymentRollout::makeNewest(std::int64_t revision) {
  const auto set = std::make_shared<ReplicaSet>(newSet(deployment_));
  const std::int32_t size = sizeOfNewest(deployment_, older_, 0);
  set->mutable_spec()->set_replicas(size);
  noteReplicas(*set, deployment_);
  noteRevision(*set, deployment_, revision);
  const std::string name = set->metadata().name();
  api::ResourceId collection{&api::kindFor<ReplicaSet>(), set->metadata().namespace_(), "", ""};
  api::WriteOptions options;
  auto made = co_await context_.api.create(std::move(collection), set, std::move(options));
  if (made.status().is(Code::kAlreadyExists)) co_return co_await useExisting(name);
  if (!made) {
    if (isNamespaceTerminating(made.status())) co_return Status();
    const std::string why =
        "Failed to create new replica set " + api::quoted(name) + ": " + made.status().message();
    if (hasProgressDeadline(deployment_)) {
      setCondition(*deployment_.mutable_status(), kProgressing, "False", "ReplicaSetCreateError",
                   why, now());
    }
    events_.record(deployment_, client::EventClass::kWarning, "ReplicaSetCreateError", why);
    co_return made.status();
  }
  newest_ = std::make_shared<ReplicaSet>(api::as<ReplicaSet>(made->object));
  if (size > 0) {
    events_.record(deployment_, client::EventClass::kNormal, "ScalingReplicaSet",
                   "Scaled up replica set " + name + " from 0 to " + std::to_string(size));
  }
  noteRevisionOfDeployment(revision);
  if (hasProgressDeadline(deployment_)) {
    setCondition(*deployment_.mutable_status(), kProgressing, "True", "NewReplicaSetCreated",
                 "Created new replica set " + api::quoted(name), now());
  }
  co_await context_.replicaSets.waitFor(newest_->metadata().resourceversion());
  co_return Status();
}

Co<Status> DeploymentRollout::useExisting(std::string name) {
  api::ResourceId id{&api::kindFor<ReplicaSet>(), deployment_.metadata().namespace_(), name, ""};
  auto found = co_await context_.api.get(std::move(id));
  if (!found) co_return found.status();
  const auto& set = api::as<ReplicaSet>(*found);
  const auto* controller = api::controllerOf(set.metadata());
  if (controller != nullptr && controller->uid() == deployment_.metadata().uid() &&
      sameTemplate(set.spec().template_(), deployment_.spec().template_())) {
    newest_ = std::make_shared<ReplicaSet>(set);
    co_return Status();
  }
  // Another template has the same hash: the next try has another one.
  auto& status = *deployment_.mutable_status();
  status.set_collisioncount(status.collisioncount() + 1);
  co_return Status(Code::kConflict, "the name of the replica set " + name + " is taken");
}

Co<Status> DeploymentRollout::resizeAll(Sizes sizes) {
  for (auto& [set, size] : sizes) {
    if (Status resized = co_await resize(set, size); !resized) co_return resized;
  }
  co_return Status();
}

Co<Status> DeploymentRollout::resize(ReplicaSetPtr set, std::int32_t size) {
  const std::int32_t before = set->spec().replicas();
  const bool noted = noteReplicas(*set, deployment_);
  if (size == before && !noted) co_return Status();
  set->mutable_spec()->set_replicas(size);
  if (Status written = co_await writeSet(set); !written) co_return written;
  if (size != before) {
    events_.record(deployment_, client::EventClass::kNormal, "ScalingReplicaSet",
                   std::string("Scaled ") + (size > before ? "up" : "down") + " replica set " +
                       set->metadata().name() + " from " + std::to_string(before) + " to " +
                       std::to_string(size));
  }
  co_return Status();
}

Co<Status> DeploymentRollout::cleanUp() {
  const std::int32_t limit = deployment_.spec().revisionhistorylimit();
  if (limit == std::numeric_limits<std::int32_t>::max()) co_return Status();
  ReplicaSets sets;
  for (const auto& set : older_) {
    if (!set->metadata().has_deletiontimestamp()) sets.push_back(set);
  }
  std::ranges::sort(sets, {}, [](const ReplicaSetPtr& set) {
    const auto& metadata = set->metadata();
    return std::tuple(revisionOf(*set), metadata.creationtimestamp().seconds(), metadata.name());
  });
  const auto excess = static_cast<std::int64_t>(sets.size()) - limit;
  for (std::int64_t i = 0; i < excess; ++i) {
    const ReplicaSetPtr& set = sets[static_cast<std::size_t>(i)];
    if (set->status().replicas() != 0 || set->spec().replicas() != 0 ||
        set->metadata().generation() > set->status().observedgeneration())
      continue;
    api::DeleteOptions options;
    options.mutable_preconditions()->set_uid(set->metadata().uid());
    auto removed = co_await context_.api.remove(idOfSet(set->metadata()), std::move(options));
    if (!removed && !removed.status().is(Code::kNotFound)) co_return removed.status();
    if (removed) co_await context_.replicaSets.waitFor(api::meta(**removed).resourceversion());
    std::erase(older_, set);
  }
  co_return Status();
}

Co<Status> DeploymentRollout::writeSet(ReplicaSetPtr set) {
  api::WriteOptions options;
  auto written = co_await context_.api.update(
      idOfSet(set->metadata()), std::make_shared<ReplicaSet>(*set), std::move(options));
  if (!written) co_return written.status();
  *set = api::as<ReplicaSet>(written->object);
  co_await context_.replicaSets.waitFor(set->metadata().resourceversion());
  co_return Status();
}

Co<Status> DeploymentRollout::writeDeployment() {
  const auto& metadata = deployment_.metadata();
  api::ResourceId id{&api::kindFor<Deployment>(), metadata.namespace_(), metadata.name(), ""};
  api::ObjectPtr known = before_;
  const auto revision = metadata.annotations().find(kRevision);
  if (revision != metadata.annotations().end()) {
    const client::Change annotate = [&](Message& object) {
      auto& found = api::mutableMeta(object);
      if (found.uid() != metadata.uid()) return false;
      auto& value = (*found.mutable_annotations())[kRevision];
      if (value == revision->second) return false;
      value = revision->second;
      return true;
    };
    auto annotated = co_await client::modify(context_.api, id, known, annotate);
    if (annotated.status().is(Code::kNotFound)) co_return Status();
    if (!annotated) co_return annotated.status();
    known = std::move(*annotated);
  }
  id.subresource = "status";
  const client::Change set = [&](Message& object) {
    auto& found = static_cast<Deployment&>(object);
    if (found.metadata().uid() != metadata.uid() ||
        found.status().SerializeAsString() == deployment_.status().SerializeAsString())
      return false;
    *found.mutable_status() = deployment_.status();
    return true;
  };
  auto written = co_await client::modify(context_.api, std::move(id), known, set);
  if (written.status().is(Code::kNotFound)) co_return Status();
  if (!written) co_return written.status();
  co_await context_.deployments.waitFor(api::meta(**written).resourceversion());
  co_return Status();
}

void DeploymentRollout::notePause() {
  if (!hasProgressDeadline(deployment_)) return;
  auto& status = *deployment_.mutable_status();
  const auto* condition = findCondition(status, kProgressing);
  // A rollout that has failed stays so.
  if (condition != nullptr && condition->reason() == "ProgressDeadlineExceeded") return;
  const bool noted = condition != nullptr && condition->reason() == "DeploymentPaused";
  const bool paused = deployment_.spec().paused();
  if (paused && !noted) {
    setCondition(status, kProgressing, "Unknown", "DeploymentPaused", "Deployment is paused",
                 now());
  } else if (!paused && noted) {
    setCondition(status, kProgressing, "Unknown", "DeploymentResumed", "Deployment is resumed",
                 now());
  }
}

void DeploymentRollout::noteRevisionOfDeployment(std::int64_t revision) {
  (*deployment_.mutable_metadata()->mutable_annotations())[kRevision] = std::to_string(revision);
}

bool DeploymentRollout::hasNewSize() const {
  const auto differs = [&](const ReplicaSetPtr& set) {
    const auto desired = desiredReplicas(*set);
    return desired && *desired != deployment_.spec().replicas();
  };
  return std::ranges::any_of(active(all()), differs);
}

bool DeploymentRollout::oldPodsRun() const {
  return std::ranges::any_of(older_, [&](const ReplicaSetPtr& set) {
    if (set->status().replicas() > 0) return true;
    return std::ranges::any_of(
        context_.podsByOwner.of(set->metadata().uid()), [&](const std::string& key) {
          return !api::isFinished(api::as<corev1::Pod>(context_.pods.get(key)));
        });
  });
}

void DeploymentRollout::conclude(bool rollout) {
  const WallTime at = now();
  auto status = countedStatus(deployment_, all(), newest_, at);
  if (rollout) judgeProgress(deployment_, all(), newest_, status, at);
  *deployment_.mutable_status() = std::move(status);
  if (rollout) again_ = untilDeadline(deployment_, deployment_.status(), at);
}

}  // namespace podlab::controllers
