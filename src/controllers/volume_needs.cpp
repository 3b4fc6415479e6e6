#include "controllers/volume_needs.hpp"

#include <utility>

#include "api/persistent_volumes.hpp"
#include "controllers/claim_matching.hpp"

namespace podlab::controllers {
namespace {

/// Where a free volume is, or one can be made.
scheduler::UnboundClaim placesOf(const corev1::PersistentVolumeClaim& claim,
                                 const storagev1::StorageClass& storageClass,
                                 const VolumeObjects& objects) {
  scheduler::UnboundClaim unbound;
  unbound.name = claim.metadata().name();
  if (storageClass.provisioner() == api::kLocalProvisioner) {
    auto& expression =
        *unbound.places.emplace_back().add_nodeselectorterms()->add_matchexpressions();
    expression.set_key(api::kVolumesLabel);
    expression.set_operator_("Exists");
  }
  for (const auto& object : objects.volumes()) {
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

}  // namespace

scheduler::VolumeNeeds volumeNeeds(const corev1::Pod& pod, const VolumeObjects& objects) {
  scheduler::VolumeNeeds needs;
  for (const auto& name : api::claimsOf(pod)) {
    const auto object = objects.claim(pod.metadata().namespace_() + "/" + name);
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
    const auto classObject = objects.storageClass(claim.spec().storageclassname());
    const bool pending = claim.status().phase() != "Bound" && claim.status().phase() != "Lost";
    if (pending && classObject &&
        api::waitsForConsumer(api::as<storagev1::StorageClass>(classObject))) {
      const auto& storageClass = api::as<storagev1::StorageClass>(classObject);
      needs.unbound.push_back(placesOf(claim, storageClass, objects));
      continue;
    }
    const auto volume = objects.volume(claim.spec().volumename());
    if (claim.status().phase() != "Bound" || !volume) {
      needs.blocked = "pod has unbound immediate PersistentVolumeClaims";
      return needs;
    }
    const auto& spec = api::as<corev1::PersistentVolume>(volume).spec();
    if (spec.has_nodeaffinity()) needs.affinities.push_back(spec.nodeaffinity().required());
  }
  return needs;
}

}  // namespace podlab::controllers
