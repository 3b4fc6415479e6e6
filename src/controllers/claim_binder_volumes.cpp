// The half of the ClaimBinder that looks after volumes.
#include "api/selectors.hpp"
#include "controllers/claim_binder.hpp"
#include "controllers/claim_change.hpp"

namespace podlab::controllers {
namespace {

bool hasFinalizer(const metav1::ObjectMeta& meta, const char* name) {
  return std::ranges::find(meta.finalizers(), name) != meta.finalizers().end();
}

bool isOurs(const corev1::PersistentVolume& volume) {
  const auto& annotations = volume.metadata().annotations();
  const auto maker = annotations.find(api::kProvisionedByAnnotation);
  return maker != annotations.end() && maker->second == api::kLocalProvisioner;
}

}  // namespace

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
