#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "apps_v1.pb.h"
#include "core_v1_workloads.pb.h"

#include "api/object.hpp"
#include "controllers/job_pods.hpp"

/// The identity of a StatefulSet's pods and claims: pure (upstream:
/// pkg/controller/statefulset/stateful_set_utils.go).
namespace podlab::controllers {

using StatefulSetPtr = std::shared_ptr<const appsv1::StatefulSet>;
using ClaimPtr = std::shared_ptr<const corev1::PersistentVolumeClaim>;

/// The ordinal in the pod's name; nullopt when the name is none of the set's.
std::optional<std::int32_t> ordinalOf(const appsv1::StatefulSet& set,
                                      const google::protobuf::Message& pod);
std::string statefulPodName(const appsv1::StatefulSet& set, std::int32_t ordinal);
/// The pod of an ordinal: `revision` is the name of the ControllerRevision that `pod` is of.
corev1::Pod statefulPod(const appsv1::StatefulSet& set, const corev1::PodTemplateSpec& pod,
                        const std::string& revision, std::int32_t ordinal);
/// The name of the revision that the pod is of.
std::string revisionOf(const corev1::Pod& pod);
/// Gives the pod the labels of its name and ordinal; whether it lacked them.
bool setIdentity(corev1::Pod& pod, std::int32_t ordinal);

/// The claim of a template for an ordinal.
corev1::PersistentVolumeClaim statefulClaim(const appsv1::StatefulSet& set,
                                            const corev1::PersistentVolumeClaim& claimTemplate,
                                            std::int32_t ordinal);
/// Makes the set or the pod (which may be null) the claim's owner, or not, so that it is deleted
/// with it as the set's persistentVolumeClaimRetentionPolicy says. `condemned`: the set has become
/// too small for the pod. Whether anything changed.
bool setClaimOwners(corev1::PersistentVolumeClaim& claim, const appsv1::StatefulSet& set,
                    const corev1::Pod* pod, bool condemned);
/// Whether the claim is about to go with an earlier pod of the name.
bool isStale(const corev1::PersistentVolumeClaim& claim, const std::string& pod,
             const std::string& uid);

}  // namespace podlab::controllers
