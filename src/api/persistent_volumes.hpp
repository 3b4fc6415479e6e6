#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core_v1_persistent_volumes.pb.h"
#include "storage_v1.pb.h"

#include "api/object.hpp"

namespace podlab {

namespace storagev1 = ::k8s::io::api::storage::v1;

namespace api {

/// Marks the StorageClass of claims that name none.
inline constexpr const char* kDefaultClassAnnotation =
    "storageclass.kubernetes.io/is-default-class";
/// On a volume: who made it.
inline constexpr const char* kProvisionedByAnnotation = "pv.kubernetes.io/provisioned-by";
/// On a volume: the binding was made by the controller, and ends with the claim.
inline constexpr const char* kBoundByControllerAnnotation = "pv.kubernetes.io/bound-by-controller";

/// On a claim whose class waits for its first consumer: the node that the scheduler has chosen.
inline constexpr const char* kSelectedNodeAnnotation = "volume.kubernetes.io/selected-node";

/// The provisioner of the built-in class: folders of the nodes' host.
inline constexpr const char* kLocalProvisioner = "podlab.io/local";
/// The name of the built-in class.
inline constexpr const char* kLocalClass = "local";
/// On a Node: which folder for volumes it has; nodes that share one have the same value.
inline constexpr const char* kVolumesLabel = "podlab.io/volumes";
/// On a Node: the folder's path.
inline constexpr const char* kVolumesFolderAnnotation = "podlab.io/volumes-folder";
/// On a released volume: the node that is to remove the folder, and then the volume.
inline constexpr const char* kReclaimLabel = "podlab.io/reclaimed-by";

/// Keeps a volume until its folder is removed.
inline constexpr const char* kVolumeFolder = "podlab.io/folder";
inline constexpr const char* kClaimProtection = "kubernetes.io/pvc-protection";
inline constexpr const char* kVolumeProtection = "kubernetes.io/pv-protection";

bool isDefaultClass(const storagev1::StorageClass& object);

/// Whether the class binds its claims once the scheduler has chosen a node for a pod that uses
/// them.
bool waitsForConsumer(const storagev1::StorageClass& object);

/// Whether one pod at a time may use what has these access modes (ReadWriteOncePod, which stands
/// alone).
bool isForOnePod(const google::protobuf::RepeatedPtrField<std::string>& modes);

/// "RWO,ROX,RWX,RWOP": those that are there, in this order.
std::string accessModesText(const google::protobuf::RepeatedPtrField<std::string>& modes);

/// The names of the claims in the pod's namespace that its volumes use.
std::vector<std::string> claimsOf(const corev1::Pod& pod);

}  // namespace api
}  // namespace podlab
