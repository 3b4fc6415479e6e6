#include "api/schema_descriptions.hpp"

#include <algorithm>
#include <utility>

namespace podlab::api {
namespace {

using Entry = std::pair<std::string_view, std::string_view>;

/// By the name behind "io.k8s.", sorted.
constexpr Entry kMessages[] = {
    {"api.apps.v1.ControllerRevision",
     "ControllerRevision is an immutable snapshot of the state of a DaemonSet or StatefulSet."},
    {"api.apps.v1.DaemonSet", "DaemonSet runs one pod on each node that fits."},
    {"api.apps.v1.Deployment",
     "Deployment keeps a number of equal pods and replaces them step by step when their template "
     "changes."},
    {"api.apps.v1.DeploymentStrategy",
     "DeploymentStrategy says how old pods are replaced by new ones."},
    {"api.apps.v1.ReplicaSet", "ReplicaSet keeps a number of equal pods."},
    {"api.apps.v1.StatefulSet",
     "StatefulSet keeps pods that have an order, stable names and volumes of their own."},
    {"api.autoscaling.v1.HorizontalPodAutoscaler",
     "HorizontalPodAutoscaler sets the number of an object's pods by metrics."},
    {"api.autoscaling.v1.Scale", "Scale is the number of pods that an object asks for."},
    {"api.autoscaling.v2.HorizontalPodAutoscaler",
     "HorizontalPodAutoscaler sets the number of an object's pods by metrics."},
    {"api.batch.v1.CronJob", "CronJob makes Jobs at the times of a schedule."},
    {"api.batch.v1.Job", "Job runs pods until a number of them has succeeded."},
    {"api.coordination.v1.Lease", "Lease says who holds something, and for how long."},
    {"api.core.v1.Affinity", "Affinity says near or far from what a pod is placed."},
    {"api.core.v1.Binding", "Binding ties a pod to a node."},
    {"api.core.v1.ConfigMap", "ConfigMap holds configuration for pods."},
    {"api.core.v1.Container", "Container is one program that runs in a pod."},
    {"api.core.v1.ContainerPort", "ContainerPort is a port on which a container listens."},
    {"api.core.v1.ContainerStatus", "ContainerStatus is what a node last saw of a container."},
    {"api.core.v1.Endpoints", "Endpoints are the addresses behind a Service."},
    {"api.core.v1.EnvVar", "EnvVar is an environment variable of a container."},
    {"api.core.v1.Event", "Event tells what has happened to an object."},
    {"api.core.v1.Lifecycle",
     "Lifecycle has what is done after a container's start and before its end."},
    {"api.core.v1.LimitRange",
     "LimitRange bounds and defaults the resources of a namespace's objects."},
    {"api.core.v1.Namespace", "Namespace is a scope for names."},
    {"api.core.v1.Node", "Node is a machine that runs pods."},
    {"api.core.v1.NodeSpec", "NodeSpec is what a node is meant to be."},
    {"api.core.v1.NodeStatus", "NodeStatus is what a node last said of itself."},
    {"api.core.v1.PersistentVolume", "PersistentVolume is storage of the cluster."},
    {"api.core.v1.PersistentVolumeClaim", "PersistentVolumeClaim asks for a PersistentVolume."},
    {"api.core.v1.Pod",
     "Pod is a group of containers that run together on one node and share an address."},
    {"api.core.v1.PodSpec", "PodSpec is what a pod is meant to be."},
    {"api.core.v1.PodStatus", "PodStatus is what was last seen of a pod."},
    {"api.core.v1.PodTemplate", "PodTemplate is a template of pods."},
    {"api.core.v1.PodTemplateSpec", "PodTemplateSpec is the pod that a template makes."},
    {"api.core.v1.Probe", "Probe is a test of whether a container has started, lives or is ready."},
    {"api.core.v1.ReplicationController", "ReplicationController keeps a number of equal pods."},
    {"api.core.v1.ResourceQuota", "ResourceQuota bounds what a namespace's objects use together."},
    {"api.core.v1.ResourceRequirements",
     "ResourceRequirements are what a container is given at least, and at most."},
    {"api.core.v1.Secret", "Secret holds what is not for everybody."},
    {"api.core.v1.Service", "Service is a name and an address for a set of pods."},
    {"api.core.v1.ServiceAccount", "ServiceAccount is the identity of programs that run in pods."},
    {"api.core.v1.ServicePort", "ServicePort is a port of a Service, and where it leads."},
    {"api.core.v1.Taint", "Taint keeps pods that do not tolerate it off a node."},
    {"api.core.v1.Toleration", "Toleration lets a pod onto nodes with a taint."},
    {"api.core.v1.Volume", "Volume is storage that the containers of a pod can mount."},
    {"api.core.v1.VolumeMount", "VolumeMount is where a container sees a volume."},
    {"api.discovery.v1.EndpointSlice", "EndpointSlice has some of the endpoints of a Service."},
    {"api.events.v1.Event", "Event tells what has happened to an object."},
    {"api.networking.v1.Ingress", "Ingress leads requests from outside to Services."},
    {"api.networking.v1.IngressClass", "IngressClass names who carries out an Ingress."},
    {"api.networking.v1.NetworkPolicy",
     "NetworkPolicy says who may talk to a set of pods, and to whom they may."},
    {"api.policy.v1.Eviction", "Eviction asks to delete a pod, if its disruption budgets allow."},
    {"api.policy.v1.PodDisruptionBudget",
     "PodDisruptionBudget bounds how many of a set of pods may be evicted at a time."},
    {"api.rbac.v1.ClusterRole", "ClusterRole is a set of permissions in the whole cluster."},
    {"api.rbac.v1.ClusterRoleBinding", "ClusterRoleBinding gives a ClusterRole to subjects."},
    {"api.rbac.v1.Role", "Role is a set of permissions in a namespace."},
    {"api.rbac.v1.RoleBinding", "RoleBinding gives a Role to subjects in a namespace."},
    {"api.scheduling.v1.PriorityClass", "PriorityClass names the priority of pods."},
    {"api.storage.v1.StorageClass", "StorageClass says how volumes for claims are made."},
    {"apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
     "CustomResourceDefinition adds a kind to the API."},
    {"apimachinery.pkg.apis.meta.v1.Condition", "Condition is one aspect of an object's state."},
    {"apimachinery.pkg.apis.meta.v1.LabelSelector",
     "LabelSelector chooses objects by their labels: all of its parts must hold."},
    {"apimachinery.pkg.apis.meta.v1.ListMeta", "ListMeta is the metadata of a list."},
    {"apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry",
     "ManagedFieldsEntry names the fields that one manager has set."},
    {"apimachinery.pkg.apis.meta.v1.ObjectMeta",
     "ObjectMeta is the metadata that all objects have."},
    {"apimachinery.pkg.apis.meta.v1.OwnerReference",
     "OwnerReference names an object on which another depends."},
};

/// Sorted.
constexpr Entry kFields[] = {
    {"annotations", "Texts by key, for tools and people."},
    {"apiVersion", "The group and version of this form of the object."},
    {"creationTimestamp", "When the server made the object. Read-only."},
    {"data", "The content, by key."},
    {"deletionGracePeriodSeconds",
     "How long the object may take to end once it is deleted. Read-only."},
    {"deletionTimestamp", "By when the object will be gone. Read-only."},
    {"finalizers", "Who has work to do before the object may go."},
    {"generateName", "A prefix of the name, which the server completes."},
    {"generation", "Counts the changes of the specification. Read-only."},
    {"kind", "The kind of the object, in CamelCase."},
    {"labels", "Texts by key, by which objects are selected."},
    {"managedFields", "Who has set which fields."},
    {"metadata", "The metadata that all objects have."},
    {"name", "The name, unique among the objects of the kind in the namespace."},
    {"namespace", "The scope in which the name is unique."},
    {"ownerReferences", "The objects on which this one depends."},
    {"resourceVersion", "Changes with each change of the object. Opaque."},
    {"selfLink", "Not used any more."},
    {"spec", "What is wanted."},
    {"status", "What was last seen."},
    {"uid", "Unique in time and space. Read-only."},
};

template <std::size_t N>
std::string_view find(const Entry (&entries)[N], std::string_view name) {
  const auto* found = std::ranges::lower_bound(entries, name, {}, &Entry::first);
  return found != std::end(entries) && found->first == name ? found->second : "";
}

}  // namespace

std::string_view describeMessage(std::string_view schema) {
  constexpr std::string_view kUpstream = "io.k8s.";
  if (!schema.starts_with(kUpstream)) return "";
  return find(kMessages, schema.substr(kUpstream.size()));
}

std::string_view describeField(std::string_view name) {
  return find(kFields, name);
}

}  // namespace podlab::api
