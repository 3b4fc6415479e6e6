#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "controllers/deployment_sizes.hpp"

/// What ties the ReplicaSets of a Deployment to its revisions (upstream:
/// pkg/controller/deployment/util).
namespace podlab::controllers {

inline constexpr const char* kTemplateHash = "pod-template-hash";
inline constexpr const char* kRevision = "deployment.kubernetes.io/revision";
inline constexpr const char* kRevisionHistory = "deployment.kubernetes.io/revision-history";
inline constexpr const char* kDesiredReplicas = "deployment.kubernetes.io/desired-replicas";
inline constexpr const char* kMaxReplicas = "deployment.kubernetes.io/max-replicas";

/// The hash in the names of ReplicaSets and the labels of their pods: of letters and digits that
/// make no words. It differs for each `collisions`.
std::string templateHash(const corev1::PodTemplateSpec& pod, std::int32_t collisions);
/// Whether the templates are the same but for the hash.
bool sameTemplate(const corev1::PodTemplateSpec& a, const corev1::PodTemplateSpec& b);

/// The oldest set of the deployment's present template, null when there is none.
ReplicaSetPtr findNewest(const appsv1::Deployment& deployment, ReplicaSets sets);
/// A set for the present template, without a size.
appsv1::ReplicaSet newSet(const appsv1::Deployment& deployment);

/// 0 when there is none.
std::int64_t revisionOf(const appsv1::ReplicaSet& set);
/// The annotations that the deployment has left on the set.
std::optional<std::int32_t> desiredReplicas(const appsv1::ReplicaSet& set);
std::optional<std::int32_t> maxReplicas(const appsv1::ReplicaSet& set);

/// Notes the wanted number and the bound; whether they differ now.
bool noteReplicas(appsv1::ReplicaSet& set, const appsv1::Deployment& deployment);
/// Gives the set the deployment's annotations and a revision, with the one that it had in its
/// history; whether anything differs now.
bool noteRevision(appsv1::ReplicaSet& set, const appsv1::Deployment& deployment,
                  std::int64_t revision);

}  // namespace podlab::controllers
