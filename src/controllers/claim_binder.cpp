#include "controllers/claim_binder.hpp"

#include <algorithm>
#include <utility>

#include "common/log.hpp"
#include "controllers/claim_change.hpp"
#include "controllers/claim_matching.hpp"

namespace podlab::controllers {
namespace {

using client::EventClass;

constexpr std::size_t kWorkers = 4;
constexpr const char* kBindCompleted = "pv.kubernetes.io/bind-completed";

}  // namespace

ClaimBinder::ClaimBinder(Context& context, client::EventRecorder& events)
    : context_(context),
      events_(events),
      claims_("claims", context.clock, context.rng, context.executor,
              [this](std::string key) { return reconcileClaim(std::move(key)); }),
      volumes_("volumes", context.clock, context.rng, context.executor,
               [this](std::string name) { return reconcileVolume(std::move(name)); }),
      tasks_(context.executor) {
  watchClaims();
  watchVolumes();
  watchOthers();
}

void ClaimBinder::watchClaims() {
  client::Informer::Handlers handlers;
  handlers.added = [this](const api::ObjectPtr& claim) { claims_.add(api::keyOf(*claim)); };
  handlers.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& claim) {
    claims_.add(api::keyOf(*claim));
  };
  handlers.deleted = [this](const api::ObjectPtr& claim) {
    told_.erase(api::keyOf(*claim));
    volumes_.add(api::as<Claim>(claim).spec().volumename());
  };
  context_.claims.addHandlers(std::move(handlers));
}

void ClaimBinder::watchVolumes() {
  const auto seen = [this](const api::ObjectPtr& volume) {
    volumes_.add(api::meta(*volume).name());
  };
  client::Informer::Handlers handlers;
  handlers.added = seen;
  handlers.updated = [seen](const api::ObjectPtr&, const api::ObjectPtr& volume) { seen(volume); };
  handlers.deleted = [this](const api::ObjectPtr& object) {
    const auto& volume = api::as<Volume>(object);
    if (volume.spec().has_claimref()) claims_.add(claimKey(volume));
  };
  context_.volumes.addHandlers(std::move(handlers));
}

void ClaimBinder::watchOthers() {
  client::Informer::Handlers classes;
  classes.added = [this](const api::ObjectPtr&) { enqueueWaiting(); };
  classes.updated = [this](const api::ObjectPtr&, const api::ObjectPtr&) { enqueueWaiting(); };
  context_.classes.addHandlers(std::move(classes));

  client::Informer::Handlers nodes;
  nodes.added = [this](const api::ObjectPtr&) { enqueueWaiting(); };
  nodes.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    if (isReady(*before) != isReady(*now)) enqueueWaiting();
  };
  context_.nodes.addHandlers(std::move(nodes));

  // Pods keep the claims that they use, and are the first consumers that some wait for.
  const auto enqueueClaims = [this](const api::ObjectPtr& object) {
    const auto& pod = api::as<corev1::Pod>(object);
    for (const auto& claim : api::claimsOf(pod))
      claims_.add(pod.metadata().namespace_() + "/" + claim);
  };
  client::Informer::Handlers pods;
  pods.added = enqueueClaims;
  pods.updated = [enqueueClaims](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    if (api::isFinished(api::as<corev1::Pod>(before)) != api::isFinished(api::as<corev1::Pod>(now)))
      enqueueClaims(now);
  };
  pods.deleted = enqueueClaims;
  context_.pods.addHandlers(std::move(pods));
}

void ClaimBinder::enqueueWaiting() {
  for (const auto& object : context_.claims.list()) {
    if (api::as<Claim>(object).spec().volumename().empty()) claims_.add(api::keyOf(*object));
  }
  for (const auto& object : context_.volumes.list()) {
    if (api::as<Volume>(object).status().phase() == "Released") volumes_.add(api::keyOf(*object));
  }
}

void ClaimBinder::start() {
  tasks_.spawn("local class", makeLocalClass());
  claims_.start(context_.waitForSync(), kWorkers);
  volumes_.start(context_.waitForSync(), kWorkers);
}

Co<void> ClaimBinder::stop() {
  co_await tasks_.cancelAndJoin();
  co_await claims_.stop();
  co_await volumes_.stop();
}

Co<void> ClaimBinder::makeLocalClass() {
  co_await context_.waitForSync();
  if (context_.classes.get(api::kLocalClass)) co_return;
  auto object = std::make_shared<storagev1::StorageClass>();
  object->mutable_metadata()->set_name(api::kLocalClass);
  if (!defaultClass())
    (*object->mutable_metadata()->mutable_annotations())[api::kDefaultClassAnnotation] = "true";
  object->set_provisioner(api::kLocalProvisioner);
  object->set_reclaimpolicy("Delete");
  object->set_volumebindingmode("Immediate");
  api::ResourceId id{&api::kindFor<storagev1::StorageClass>(), "", "", ""};
  api::WriteOptions options;
  auto made = co_await context_.api.create(std::move(id), object, std::move(options));
  if (!made && !made.status().is(Code::kAlreadyExists))
    logWarning("class_not_made", {{"class", api::kLocalClass}, {"error", made.status()}});
}

ClaimBinder::ClassPtr ClaimBinder::defaultClass() const {
  ClassPtr found;
  for (const auto& object : context_.classes.list()) {
    auto candidate = api::share<storagev1::StorageClass>(object);
    // The newest, when there are several.
    const bool newer = !found || candidate->metadata().creationtimestamp().seconds() >
                                     found->metadata().creationtimestamp().seconds();
    if (api::isDefaultClass(*candidate) && newer) found = std::move(candidate);
  }
  return found;
}

bool ClaimBinder::isUsed(const std::string& claim) const {
  return std::ranges::any_of(context_.podsByClaim.of(claim), [this](const std::string& key) {
    const auto object = context_.pods.get(key);
    if (!object) return false;
    const auto& pod = api::as<corev1::Pod>(object);
    return !pod.spec().nodename().empty() && !api::isFinished(pod);
  });
}

void ClaimBinder::tell(const Claim& claim, EventClass type, const char* reason,
                       std::string message) {
  std::string& last = told_[api::keyOf(claim)];
  if (last == message) return;
  last = message;
  events_.record(claim, type, reason, std::move(message));
}

Co<Status> ClaimBinder::reconcileClaim(std::string key) {
  const auto object = context_.claims.get(key);
  if (!object) co_return Status();
  auto claim = api::share<Claim>(object);
  if (claim->metadata().has_deletiontimestamp()) co_return co_await protectClaim(claim);
  if (!claim->spec().volumename().empty()) co_return co_await completeBinding(claim);
  co_return co_await findVolume(claim);
}

Co<Status> ClaimBinder::protectClaim(ClaimPtr claim) {
  if (isUsed(api::keyOf(*claim))) co_return Status();
  const auto edit = [](Claim& object) {
    return removeFinalizer(*object.mutable_metadata(), api::kClaimProtection);
  };
  co_return co_await change(context_.api, claim, "", edit);
}

/// The claim names its volume: by us, or by its author.
Co<Status> ClaimBinder::completeBinding(ClaimPtr claim) {
  const auto object = context_.volumes.get(claim->spec().volumename());
  if (!object) {
    if (claim->status().phase() != "Bound") co_return Status();
    tell(*claim, EventClass::kWarning, "ClaimLost",
         "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
    const auto edit = [](Claim& lost) {
      lost.mutable_status()->set_phase("Lost");
      return true;
    };
    co_return co_await change(context_.api, claim, "status", edit);
  }
  auto volume = api::share<Volume>(object);
  if (volume->spec().has_claimref() && !isFor(*volume, *claim)) {
    tell(*claim, EventClass::kWarning, "FailedBinding",
         "volume \"" + volume->metadata().name() + "\" already bound to a different claim.");
    co_return Status();
  }
  if (const auto why = mismatch(*volume, *claim); !volume->spec().has_claimref() && !why.empty()) {
    tell(*claim, EventClass::kWarning, "VolumeMismatch",
         "Cannot bind to requested volume \"" + volume->metadata().name() + "\": " + why);
    co_return Status();
  }
  co_return co_await bind(claim, volume);
}

/// The volume whose author meant it for this claim.
ClaimBinder::VolumePtr ClaimBinder::volumeSetAside(const Claim& claim) const {
  for (const auto& object : context_.volumes.list()) {
    auto volume = api::share<Volume>(object);
    if (volume->spec().has_claimref() && isFor(*volume, claim) &&
        !volume->metadata().has_deletiontimestamp())
      return volume;
  }
  return nullptr;
}

/// The smallest free volume that fits, and that the selected node, if any, can have.
ClaimBinder::VolumePtr ClaimBinder::bestVolume(const Claim& claim,
                                               const corev1::Node* selected) const {
  VolumePtr best;
  for (const auto& object : context_.volumes.list()) {
    auto volume = api::share<Volume>(object);
    if (volume->metadata().has_deletiontimestamp() || volume->spec().has_claimref() ||
        !satisfies(*volume, claim) || (selected != nullptr && !isAllowedOn(*volume, *selected)))
      continue;
    const bool smaller = !best || capacityOf(*volume) < capacityOf(*best) ||
                         (capacityOf(*volume) == capacityOf(*best) &&
                          volume->metadata().name() < best->metadata().name());
    if (smaller) best = std::move(volume);
  }
  return best;
}

Co<Status> ClaimBinder::findVolume(ClaimPtr claim) {
  if (!claim->spec().has_storageclassname()) {
    if (const auto chosen = defaultClass()) {
      const std::string name = chosen->metadata().name();
      const auto edit = [name](Claim& object) {
        object.mutable_spec()->set_storageclassname(name);
        return true;
      };
      co_return co_await change(context_.api, claim, "", edit);
    }
  }
  const std::string& className = claim->spec().storageclassname();
  const auto classObject = context_.classes.get(className);
  const auto storageClass = api::share<storagev1::StorageClass>(classObject);
  if (auto volume = volumeSetAside(*claim)) co_return co_await bind(claim, volume);
  NodePtr selected;
  if (storageClass && api::waitsForConsumer(*storageClass)) {
    const auto& annotations = claim->metadata().annotations();
    const auto chosen = annotations.find(api::kSelectedNodeAnnotation);
    if (chosen == annotations.end()) {
      const std::string users = unscheduledUsers(*claim);
      if (users.empty()) {
        tell(*claim, EventClass::kNormal, "WaitForFirstConsumer",
             "waiting for first consumer to be created before binding");
      } else {
        tell(*claim, EventClass::kNormal, "WaitForPodScheduled",
             "waiting for pod" + users + " to be scheduled");
      }
      co_return Status();
    }
    selected = api::share<corev1::Node>(context_.nodes.get(chosen->second));
    if (!selected) co_return co_await giveUpNode(claim);
  }
  if (auto volume = bestVolume(*claim, selected.get())) co_return co_await bind(claim, volume);
  if (className.empty()) {
    tell(*claim, EventClass::kNormal, "FailedBinding",
         "no persistent volumes available for this claim and no storage class is set");
  } else if (!storageClass) {
    tell(*claim, EventClass::kWarning, "ProvisioningFailed",
         "storageclass.storage.k8s.io \"" + className + "\" not found");
  } else if (storageClass->provisioner() == api::kLocalProvisioner) {
    co_return co_await provision(claim, storageClass, selected);
  } else if (storageClass->provisioner() == "kubernetes.io/no-provisioner") {
    tell(*claim, EventClass::kNormal, "FailedBinding",
         "no persistent volumes available for this claim, and its class makes none");
  } else {
    tell(*claim, EventClass::kNormal, "ExternalProvisioning",
         "Waiting for a volume to be created either by the external provisioner '" +
             storageClass->provisioner() +
             "' or manually by the system administrator. If volume creation is delayed, please "
             "verify that the provisioner is running and correctly registered.");
    co_return Status();
  }
  co_return selected ? co_await giveUpNode(claim) : Status();
}

/// Nothing can be bound there (any more): the scheduler is to choose again.
Co<Status> ClaimBinder::giveUpNode(ClaimPtr claim) {
  const auto edit = [](Claim& object) {
    return object.mutable_metadata()->mutable_annotations()->erase(api::kSelectedNodeAnnotation) >
           0;
  };
  co_return co_await change(context_.api, claim, "", edit);
}

/// " a" or "s a,b": the pods that use the claim and have no node.
std::string ClaimBinder::unscheduledUsers(const Claim& claim) const {
  std::string names;
  bool several = false;
  for (const auto& key : context_.podsByClaim.of(api::keyOf(claim))) {
    const auto object = context_.pods.get(key);
    if (!object || !api::as<corev1::Pod>(object).spec().nodename().empty()) continue;
    several = !names.empty();
    names += (several ? "," : "") + api::meta(*object).name();
  }
  return names.empty() ? "" : (several ? "s " : " ") + names;
}

Co<Status> ClaimBinder::provision(ClaimPtr claim, ClassPtr storageClass, NodePtr selected) {
  const auto fail = [&](std::string why) {
    tell(*claim, EventClass::kWarning, "ProvisioningFailed", std::move(why));
    return Status();
  };
  if (claim->spec().has_selector())
    co_return fail("claim.Spec.Selector is not supported for dynamic provisioning");
  if (claim->spec().volumemode() != "Filesystem")
    co_return fail("volumes of class \"" + storageClass->metadata().name() +
                   "\" have the volumeMode Filesystem only");
  std::vector<std::shared_ptr<const corev1::Node>> nodes;
  if (selected) nodes.push_back(selected);
  for (const auto& node : context_.nodes.list()) {
    if (!selected) nodes.push_back(api::share<corev1::Node>(node));
  }
  const VolumesHost host = chooseHost(nodes);
  if (host.label.empty()) {
    (void)fail(selected ? "node \"" + selected->metadata().name() +
                              "\" is not ready, or has no folder for volumes"
                        : "no ready node has a folder for volumes");
    co_return selected ? co_await giveUpNode(claim) : Status();
  }
  auto volume = std::make_shared<Volume>(makeVolume(*claim, *storageClass, host));
  api::ResourceId id{&api::kindFor<Volume>(), "", "", ""};
  api::WriteOptions options;
  auto made = co_await context_.api.create(std::move(id), volume, std::move(options));
  if (made.ok()) {
    tell(*claim, EventClass::kNormal, "ProvisioningSucceeded",
         "Successfully provisioned volume " + volume->metadata().name());
  } else if (!made.status().is(Code::kAlreadyExists)) {
    co_return made.status();
  }
  co_return Status();  // the volume's arrival brings the claim again
}

/// Each step finds what is done already; the volume comes first, so that nobody else gets it.
Co<Status> ClaimBinder::bind(ClaimPtr claim, VolumePtr volume) {
  const bool complete = !volume->spec().claimref().uid().empty() &&
                        volume->status().phase() == "Bound" && claim->status().phase() == "Bound" &&
                        !claim->spec().volumename().empty();
  if (complete) co_return Status();
  const auto reference = referenceTo(*claim);
  bool taken = false;
  const auto take = [&](Volume& object) {
    taken = object.spec().has_claimref() && !isFor(object, *claim);
    if (taken || !object.spec().claimref().uid().empty()) return false;
    const bool ours = !object.spec().has_claimref();
    *object.mutable_spec()->mutable_claimref() = reference;
    auto& annotations = *object.mutable_metadata()->mutable_annotations();
    if (ours) annotations[api::kBoundByControllerAnnotation] = "yes";
    return true;
  };
  Status status = co_await change(context_.api, volume, "", take);
  if (status.ok() && taken) status = Status(Code::kConflict, "another claim has the volume");
  if (status.ok()) status = co_await setVolumePhase(volume, "Bound");
  if (status.ok()) {
    const std::string name = volume->metadata().name();
    const auto point = [&](Claim& object) {
      auto& annotations = *object.mutable_metadata()->mutable_annotations();
      if (object.spec().volumename() == name && annotations.contains(kBindCompleted)) return false;
      if (object.spec().volumename().empty())
        annotations[api::kBoundByControllerAnnotation] = "yes";
      annotations[kBindCompleted] = "yes";
      object.mutable_spec()->set_volumename(name);
      return true;
    };
    status = co_await change(context_.api, claim, "", point);
  }
  if (!status.ok()) co_return status;
  const auto report = [&](Claim& object) {
    if (object.status().phase() == "Bound") return false;
    auto& now = *object.mutable_status();
    now.set_phase("Bound");
    *now.mutable_accessmodes() = volume->spec().accessmodes();
    *now.mutable_capacity() = volume->spec().capacity();
    return true;
  };
  co_return co_await change(context_.api, claim, "status", report);
}

}  // namespace podlab::controllers
