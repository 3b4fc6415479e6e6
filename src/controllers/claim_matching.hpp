#pragma once
#include <string>
#include <vector>

#include "api/persistent_volumes.hpp"
#include "api/quantity.hpp"

namespace podlab::controllers {

/// As a volume's claimRef.
corev1::ObjectReference referenceTo(const corev1::PersistentVolumeClaim& claim);
/// Whether the volume is bound, or set aside, for this claim.
bool isFor(const corev1::PersistentVolume& volume, const corev1::PersistentVolumeClaim& claim);
/// Why the volume cannot serve the claim that names it, in the words of
/// kube-controller-manager's checkVolumeSatisfyClaim(): capacity, class, mode or access modes;
/// empty when it can.
std::string mismatch(const corev1::PersistentVolume& volume,
                     const corev1::PersistentVolumeClaim& claim);
/// Whether a volume that is free can satisfy the claim: as above, and by the claim's selector.
bool satisfies(const corev1::PersistentVolume& volume, const corev1::PersistentVolumeClaim& claim);
/// Whether the node can have the volume.
bool isAllowedOn(const corev1::PersistentVolume& volume, const corev1::Node& node);
api::Quantity capacityOf(const corev1::PersistentVolume& volume);

/// Where new folders can be made: the nodes that share one folder.
struct VolumesHost {
  std::string label;   ///< the nodes' value of podlab.io/volumes
  std::string folder;  ///< path on them
};
/// The host with the most ready nodes, the first by label among equals; an empty label: none.
VolumesHost chooseHost(const std::vector<std::shared_ptr<const corev1::Node>>& nodes);

/// The volume that the class `local` makes for the claim on that host.
corev1::PersistentVolume makeVolume(const corev1::PersistentVolumeClaim& claim,
                                    const storagev1::StorageClass& storageClass,
                                    const VolumesHost& host);

}  // namespace podlab::controllers
