#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps_v1.pb.h"
#include "core_v1_workloads.pb.h"

#include "api/kinds.hpp"
#include "api/persistent_volumes.hpp"
#include "cli/describe_layout.hpp"

namespace podlab::cli {

/// Objects as `kubectl describe` writes them; ages are those at `now`.
std::string describePod(const corev1::Pod& pod, const Events& events, WallTime now);
/// What kinds that make pods say of them.
void addPodTemplate(Description& out, const corev1::PodTemplateSpec& pod);
/// `sets` are those that the deployment controls.
std::string describeDeployment(const appsv1::Deployment& deployment,
                               std::vector<std::shared_ptr<const appsv1::ReplicaSet>> sets,
                               const Events& events, WallTime now);
/// `pods` are those that the object controls.
std::string describeReplicas(const appsv1::ReplicaSet& set,
                             const std::vector<std::shared_ptr<const corev1::Pod>>& pods,
                             const Events& events, WallTime now);
std::string describeReplicas(const corev1::ReplicationController& controller,
                             const std::vector<std::shared_ptr<const corev1::Pod>>& pods,
                             const Events& events, WallTime now);
/// `pods` are those bound to the node; `lease` may be null.
std::string describeNode(const corev1::Node& node,
                         const std::vector<std::shared_ptr<const corev1::Pod>>& pods,
                         const coordinationv1::Lease* lease, const Events& events, WallTime now);
std::string describeNamespace(const corev1::Namespace& ns);
std::string describeConfigMap(const corev1::ConfigMap& map, const Events& events, WallTime now);
/// Sizes in place of the values.
std::string describeSecret(const corev1::Secret& secret);
/// `pods` are those that use the claim.
std::string describeClaim(const corev1::PersistentVolumeClaim& claim,
                          const std::vector<std::string>& pods, const Events& events, WallTime now);
std::string describeVolume(const corev1::PersistentVolume& volume, const Events& events,
                           WallTime now);
std::string describeClass(const storagev1::StorageClass& object, const Events& events,
                          WallTime now);
/// An object of any other kind: its metadata and every field that is set.
std::string describeObject(const api::Kind& kind, const google::protobuf::Message& object,
                           const Events& events, WallTime now);

}  // namespace podlab::cli
