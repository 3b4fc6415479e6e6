#include "controllers/claim_binder.hpp"

#include <algorithm>
#include <utility>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "api/selectors.hpp"
#include "client/modify.hpp"
#include "common/log.hpp"
#include "controllers/claim_matching.hpp"

namespace podlab::controllers {
namespace {

using client::EventClass;

constexpr std::size_t kWorkers = 4;
constexpr const char* kBindCompleted = "pv.kubernetes.io/bind-completed";

template <typename T>
api::ResourceId idOf(const T& object, std::string subresource = "") {
  return {&api::kindFor<T>(), object.metadata().namespace_(), object.metadata().name(),
          std::move(subresource)};
}

bool hasFinalizer(const metav1::ObjectMeta& meta, const char* name) {
  return std::ranges::find(meta.finalizers(), name) != meta.finalizers().end();
}

bool removeFinalizer(metav1::ObjectMeta& meta, const char* name) {
  auto& finalizers = *meta.mutable_finalizers();
  const auto end = std::remove(finalizers.begin(), finalizers.end(), name);
  const bool changed = end != finalizers.end();
  finalizers.erase(end, finalizers.end());
  return changed;
}

std::string claimKey(const corev1::PersistentVolume& volume) {
  return volume.spec().claimref().namespace_() + "/" + volume.spec().claimref().name();
}

bool isOurs(const corev1::PersistentVolume& volume) {
  const auto& annotations = volume.metadata().annotations();
  const auto maker = annotations.find(api::kProvisionedByAnnotation);
  return maker != annotations.end() && maker->second == api::kLocalProvisioner;
}

bool isReady(const google::protobuf::Message& node) {
  return api::isTrue(static_cast<const corev1::Node&>(node).status(), "Ready");
}

/// Changes an object that is still the one that `known` is; one that is gone is OK.
template <typename T, typename F>
Co<Status> change(api::Api& api, std::shared_ptr<const T> known, std::string subresource,
                  F function) {
  const std::string uid = known->metadata().uid();
  client::Change apply = [uid, function = std::move(function)](google::protobuf::Message& object) {
    return api::meta(object).uid() == uid && function(static_cast<T&>(object));
  };
  api::ResourceId id = idOf(*known, std::move(subresource));
  api::ObjectPtr start = known;
  auto written = co_await client::modify(api, std::move(id), std::move(start), std::move(apply));
  const Status status = written.status();
  co_return status.is(Code::kNotFound) ? Status() : status;
}

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
  co_return co_await bind(claim, volume);
}

ClaimBinder::VolumePtr ClaimBinder::bestVolume(const Claim& claim) const {
  VolumePtr best;
  for (const auto& object : context_.volumes.list()) {
    auto volume = api::share<Volume>(object);
    if (volume->metadata().has_deletiontimestamp()) continue;
    if (volume->spec().has_claimref()) {
      if (isFor(*volume, claim)) return volume;
      continue;
    }
    if (!satisfies(*volume, claim)) continue;
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
  if (storageClass && storageClass->volumebindingmode() == "WaitForFirstConsumer" &&
      context_.podsByClaim.of(api::keyOf(*claim)).empty()) {
    tell(*claim, EventClass::kNormal, "WaitForFirstConsumer",
         "waiting for first consumer to be created before binding");
    co_return Status();
  }
  if (auto volume = bestVolume(*claim)) co_return co_await bind(claim, volume);
  if (className.empty()) {
    tell(*claim, EventClass::kNormal, "FailedBinding",
         "no persistent volumes available for this claim and no storage class is set");
  } else if (!storageClass) {
    tell(*claim, EventClass::kWarning, "ProvisioningFailed",
         "storageclass.storage.k8s.io \"" + className + "\" not found");
  } else if (storageClass->provisioner() == api::kLocalProvisioner) {
    co_return co_await provision(claim, storageClass);
  } else if (storageClass->provisioner() == "kubernetes.io/no-provisioner") {
    tell(*claim, EventClass::kNormal, "FailedBinding",
         "no persistent volumes available for this claim, and its class makes none");
  } else {
    tell(*claim, EventClass::kNormal, "ExternalProvisioning",
         "Waiting for a volume to be created either by the external provisioner '" +
             storageClass->provisioner() +
             "' or manually by the system administrator. If volume creation is delayed, please "
             "verify that the provisioner is running and correctly registered.");
  }
  co_return Status();
}

Co<Status> ClaimBinder::provision(ClaimPtr claim, ClassPtr storageClass) {
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
  for (const auto& node : context_.nodes.list()) nodes.push_back(api::share<corev1::Node>(node));
  const VolumesHost host = chooseHost(nodes);
  if (host.label.empty()) co_return fail("no ready node has a folder for volumes");
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

Co<Status> ClaimBinder::setVolumePhase(VolumePtr volume, std::string phase, std::string message) {
  const auto edit = [&](Volume& object) {
    auto& status = *object.mutable_status();
    if (status.phase() == phase && status.message() == message) return false;
    status.set_phase(phase);
    status.clear_message();
    if (!message.empty()) status.set_message(message);
    return true;
  };
  co_return co_await change(context_.api, volume, "status", edit);
}

Co<Status> ClaimBinder::reconcileVolume(std::string name) {
  const auto object = context_.volumes.get(name);
  if (!object) co_return Status();
  auto volume = api::share<Volume>(object);
  const auto& reference = volume->spec().claimref();
  if (reference.uid().empty()) {
    if (volume->metadata().has_deletiontimestamp())
      co_return co_await releaseFinalizers(volume, false);
    Status status = co_await setVolumePhase(volume, "Available");
    // Claims that wait, or the one that it is set aside for.
    enqueueWaiting();
    co_return status;
  }
  // The cache of claims may be behind; the server is not.
  api::ResourceId id{&api::kindFor<Claim>(), reference.namespace_(), reference.name(), ""};
  auto claim = co_await context_.api.get(std::move(id));
  if (claim.ok() && api::meta(**claim).uid() == reference.uid()) {
    claims_.add(claimKey(*volume));
    co_return Status();
  }
  if (!claim.ok() && !claim.status().is(Code::kNotFound)) co_return claim.status();
  co_return co_await release(volume);
}

Co<Status> ClaimBinder::release(VolumePtr volume) {
  const bool keeps = volume->spec().persistentvolumereclaimpolicy() != "Delete";
  const bool deletable = isOurs(*volume);
  if (!keeps && !deletable) {
    co_return co_await setVolumePhase(volume, "Failed",
                                      "error getting deleter volume plugin for volume \"" +
                                          volume->metadata().name() +
                                          "\": no deletable volume plugin matched");
  }
  if (Status status = co_await setVolumePhase(volume, "Released"); !status.ok()) co_return status;
  if (keeps || !hasFinalizer(volume->metadata(), api::kVolumeFolder)) {
    if (!keeps && !volume->metadata().has_deletiontimestamp()) {
      api::DeleteOptions options;
      options.mutable_preconditions()->set_uid(volume->metadata().uid());
      api::ResourceId id = idOf(*volume);
      auto removed = co_await context_.api.remove(std::move(id), std::move(options));
      if (!removed && !removed.status().is(Code::kNotFound)) co_return removed.status();
    }
    if (keeps && !volume->metadata().has_deletiontimestamp()) co_return Status();
    co_return co_await releaseFinalizers(volume, keeps);
  }
  const std::string node = reclaimer(*volume);
  if (node.empty()) co_return Status();  // a node's return brings it again
  const auto edit = [&](Volume& object) {
    auto& label = (*object.mutable_metadata()->mutable_labels())[api::kReclaimLabel];
    if (label == node) return false;
    label = node;
    return true;
  };
  co_return co_await change(context_.api, volume, "", edit);
}

/// Lets a volume go that nobody is bound to; `folderToo`: its folder is its author's to keep.
Co<Status> ClaimBinder::releaseFinalizers(VolumePtr volume, bool folderToo) {
  const auto edit = [folderToo](Volume& object) {
    auto& meta = *object.mutable_metadata();
    bool changed = removeFinalizer(meta, api::kVolumeProtection);
    if (folderToo) changed = removeFinalizer(meta, api::kVolumeFolder) || changed;
    return changed;
  };
  co_return co_await change(context_.api, volume, "", edit);
}

/// The node that is to remove the volume's folder: the one that has the task already while it is
/// ready, or the first ready one that has the folder; "" when there is none.
std::string ClaimBinder::reclaimer(const Volume& volume) const {
  const auto& labels = volume.metadata().labels();
  const auto label = labels.find(api::kReclaimLabel);
  std::string first;
  for (const auto& object : context_.nodes.list()) {
    const auto& node = api::as<corev1::Node>(object);
    const std::string& name = node.metadata().name();
    if (!isReady(node) || !api::matchesNodeSelector(volume.spec().nodeaffinity().required(), node))
      continue;
    if (label != labels.end() && label->second == name) return name;
    if (first.empty() || name < first) first = name;
  }
  return first;
}

}  // namespace podlab::controllers
