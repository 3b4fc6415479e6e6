#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps_v1.pb.h"
#include "autoscaling_v2.pb.h"
#include "batch_v1.pb.h"
#include "core_v1_accounts.pb.h"
#include "core_v1_policies.pb.h"
#include "core_v1_services.pb.h"
#include "core_v1_workloads.pb.h"
#include "discovery_v1.pb.h"
#include "networking_v1.pb.h"
#include "policy_v1.pb.h"
#include "rbac_v1.pb.h"
#include "scheduling_v1.pb.h"

#include "api/kinds.hpp"
#include "api/persistent_volumes.hpp"
#include "cli/describe_layout.hpp"

/// Objects as `kubectl describe` (1.35) writes them, without their events; ages are those at `now`.
namespace podlab::cli {

using Pods = std::vector<std::shared_ptr<const corev1::Pod>>;
template <typename T>
using Objects = std::vector<std::shared_ptr<const T>>;

Description describePod(const corev1::Pod& pod, WallTime now);
/// What kinds that make pods say of them.
void addPodTemplate(Description& out, const corev1::PodTemplateSpec& pod);

/// `sets` are those that the deployment controls.
Description describeDeployment(const appsv1::Deployment& deployment,
                               Objects<appsv1::ReplicaSet> sets);
/// `pods` are those that the object controls.
Description describeReplicas(const appsv1::ReplicaSet& set, const Pods& pods);
Description describeReplicas(const corev1::ReplicationController& controller, const Pods& pods);
Description describeReplicas(const appsv1::DaemonSet& set, const Pods& pods);
Description describeReplicas(const appsv1::StatefulSet& set, const Pods& pods);
Description describeJob(const batchv1::Job& job);
Description describeCronJob(const batchv1::CronJob& job);
Description describeAutoscaler(const autoscalingv2::HorizontalPodAutoscaler& scaler);

/// `pods` are those bound to the node; `lease` may be null.
Description describeNode(const corev1::Node& node, const Pods& pods,
                         const coordinationv1::Lease* lease, WallTime now);

Description describeService(const corev1::Service& service,
                            const Objects<discoveryv1::EndpointSlice>& slices);
Description describeEndpoints(const corev1::Endpoints& endpoints);
Description describeSlice(const discoveryv1::EndpointSlice& slice);
/// The addresses of the ready endpoints of a service's port, the first three of them.
std::string endpointsText(const Objects<discoveryv1::EndpointSlice>& slices,
                          const std::string& port);
/// A service that an ingress names; null: `error` says why.
struct Backend {
  std::shared_ptr<const corev1::Service> service;
  Objects<discoveryv1::EndpointSlice> slices;
  std::string error;
};
Description describeIngress(const networkingv1::Ingress& ingress,
                            const std::map<std::string, Backend>& services);
Description describeIngressClass(const networkingv1::IngressClass& object);
Description describeNetworkPolicy(const networkingv1::NetworkPolicy& policy);

Description describeNamespace(const corev1::Namespace& ns,
                              const Objects<corev1::ResourceQuota>& quotas,
                              const Objects<corev1::LimitRange>& ranges);
Description describeQuota(const corev1::ResourceQuota& quota);
Description describeLimitRange(const corev1::LimitRange& range);
Description describePriorityClass(const schedulingv1::PriorityClass& object);
Description describeBudget(const policyv1::PodDisruptionBudget& budget);

Description describeConfigMap(const corev1::ConfigMap& map);
/// Sizes in place of the values.
Description describeSecret(const corev1::Secret& secret);
Description describeServiceAccount(const corev1::ServiceAccount& account);
Description describeRole(const rbacv1::Role& role);
Description describeRole(const rbacv1::ClusterRole& role);
Description describeBinding(const rbacv1::RoleBinding& binding);
Description describeBinding(const rbacv1::ClusterRoleBinding& binding);

/// `pods` are those that use the claim.
Description describeClaim(const corev1::PersistentVolumeClaim& claim,
                          const std::vector<std::string>& pods);
Description describeVolume(const corev1::PersistentVolume& volume);
Description describeClass(const storagev1::StorageClass& object);
/// An object of any other kind: its metadata and every field that is set.
Description describeObject(const api::Kind& kind, const google::protobuf::Message& object);

}  // namespace podlab::cli
