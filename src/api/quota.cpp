#include "api/quota.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "core_v1_services.pb.h"

#include "api/conditions.hpp"
#include "api/persistent_volumes.hpp"
#include "api/selectors.hpp"

namespace podlab::api {
namespace {

using google::protobuf::Message;

constexpr std::string_view kCount = "count/";
constexpr std::string_view kOfClass = ".storageclass.storage.k8s.io/";
constexpr std::string_view kClaims = "persistentvolumeclaims";
constexpr std::string_view kStorage = "requests.storage";
/// Resources whose requests count also under their bare names.
constexpr std::array<std::string_view, 3> kNative{"cpu", "memory", "ephemeral-storage"};
/// What each container has to say when a quota is about it, for the sake of old quotas.
constexpr std::array<std::string_view, 6> kRequired{"cpu",    "limits.cpu",   "limits.memory",
                                                    "memory", "requests.cpu", "requests.memory"};
/// Core kinds that are counted under their plural, too.
constexpr std::array<std::string_view, 7> kCountedByPlural{"configmaps",
                                                           "persistentvolumeclaims",
                                                           "replicationcontrollers",
                                                           "resourcequotas",
                                                           "secrets",
                                                           "services",
                                                           "pods"};

template <typename List>
bool contains(const List& list, std::string_view value) {
  return std::ranges::find(list, value) != std::end(list);
}

void addCompute(const ResourceList& requests, const ResourceList& limits, ResourceList& usage) {
  for (const auto& [name, amount] : requests) {
    if (contains(kNative, name)) usage[name] += amount;
    // Extended resources and huge pages, as the native ones.
    usage["requests." + name] += amount;
  }
  for (const auto& [name, amount] : limits) {
    if (contains(kNative, name)) usage["limits." + name] += amount;
  }
}

void addPod(const corev1::Pod& pod, ResourceList& usage) {
  if (isFinished(pod)) return;
  usage["pods"] = Quantity::of(1);
  addCompute(podRequests(pod), podLimits(pod), usage);
}

void addService(const corev1::Service& service, ResourceList& usage) {
  usage["services"] = Quantity::of(1);
  const auto& spec = service.spec();
  const auto ports = static_cast<std::int64_t>(spec.ports_size());
  if (spec.type() == "NodePort") usage["services.nodeports"] = Quantity::of(ports);
  if (spec.type() != "LoadBalancer") return;
  const bool allocates =
      !spec.has_allocateloadbalancernodeports() || spec.allocateloadbalancernodeports();
  const auto given = std::ranges::count_if(
      spec.ports(), [](const corev1::ServicePort& port) { return port.nodeport() != 0; });
  usage["services.nodeports"] = Quantity::of(allocates ? ports : given);
  usage["services.loadbalancers"] = Quantity::of(1);
}

void addClaim(const corev1::PersistentVolumeClaim& claim, ResourceList& usage) {
  std::vector<std::string> prefixes{""};
  if (claim.spec().has_storageclassname() && !claim.spec().storageclassname().empty())
    prefixes.push_back(claim.spec().storageclassname() + std::string(kOfClass));
  const auto& requests = claim.spec().resources().requests();
  const auto storage = requests.find("storage");
  for (const auto& prefix : prefixes) {
    usage[prefix + std::string(kClaims)] = Quantity::of(1);
    if (storage != requests.end())
      usage[prefix + std::string(kStorage)] = Quantity::read(storage->second);
  }
}

bool isPodResource(std::string_view name) {
  if (name == "pods" || contains(kNative, name)) return true;
  if (name == kStorage) return false;
  return name.starts_with("requests.") || name.starts_with("limits.") ||
         name.starts_with("hugepages-");
}

bool hasForeignTerm(const corev1::PodAffinityTerm& term) {
  return term.namespaces_size() > 0 || term.has_namespaceselector();
}

template <typename Affinity>
bool hasForeignTerms(const Affinity& affinity) {
  return std::ranges::any_of(affinity.requiredduringschedulingignoredduringexecution(),
                             hasForeignTerm) ||
         std::ranges::any_of(
             affinity.preferredduringschedulingignoredduringexecution(),
             [](const auto& weighted) { return hasForeignTerm(weighted.podaffinityterm()); });
}

/// Values of the scope that the pod has: none when it is not in it.
bool isInScope(std::string_view scope, const corev1::Pod& pod) {
  const bool terminating = pod.spec().has_activedeadlineseconds();
  if (scope == "Terminating") return terminating;
  if (scope == "NotTerminating") return !terminating;
  if (scope == "BestEffort") return qosClass(pod) == "BestEffort";
  if (scope == "NotBestEffort") return qosClass(pod) != "BestEffort";
  if (scope == "PriorityClass") return !pod.spec().priorityclassname().empty();
  return scope == "CrossNamespacePodAffinity" &&
         (hasForeignTerms(pod.spec().affinity().podaffinity()) ||
          hasForeignTerms(pod.spec().affinity().podantiaffinity()));
}

bool matches(const corev1::ScopedResourceSelectorRequirement& wanted, const corev1::Pod& pod) {
  const std::string& op = wanted.operator_();
  const bool is = isInScope(wanted.scopename(), pod);
  if (op == "DoesNotExist") return !is;
  if (op == "Exists" || wanted.scopename() != "PriorityClass") return is;
  const bool listed = is && contains(wanted.values(), pod.spec().priorityclassname());
  return op == "NotIn" ? !listed : listed;
}

}  // namespace

ResourceList quotaUsage(const Message& object) {
  ResourceList usage;
  const Kind& kind = *kindOf(object);
  usage[std::string(kCount) + kind.resource()] = Quantity::of(1);
  if (const auto* pod = dynamic_cast<const corev1::Pod*>(&object)) {
    addPod(*pod, usage);
  } else if (const auto* service = dynamic_cast<const corev1::Service*>(&object)) {
    addService(*service, usage);
  } else if (const auto* claim = dynamic_cast<const corev1::PersistentVolumeClaim*>(&object)) {
    addClaim(*claim, usage);
  } else if (kind.group.empty() && contains(kCountedByPlural, kind.plural)) {
    usage[std::string(kind.plural)] = Quantity::of(1);
  }
  return usage;
}

const Kind* kindOfQuotaResource(std::string_view resource) {
  if (resource.starts_with(kCount)) {
    resource.remove_prefix(kCount.size());
    const auto dot = resource.find('.');
    const bool core = dot == std::string_view::npos;
    const Kind* kind = findResource(core ? "" : resource.substr(dot + 1), resource.substr(0, dot));
    return kind == nullptr ? nullptr : &kind->resourceKind();
  }
  if (isPodResource(resource)) return &kindFor<corev1::Pod>();
  const bool ofClass = resource.find(kOfClass) != std::string_view::npos;
  if (resource == kStorage || ofClass) return &kindFor<corev1::PersistentVolumeClaim>();
  if (resource.starts_with("services.")) return findResource("", "services");
  return contains(kCountedByPlural, resource) ? findResource("", resource) : nullptr;
}

bool inScope(const corev1::ResourceQuotaSpec& quota, const Message& object) {
  const auto& wanted = quota.scopeselector().matchexpressions();
  if (quota.scopes().empty() && wanted.empty()) return true;
  const auto* pod = dynamic_cast<const corev1::Pod*>(&object);
  return pod != nullptr &&
         std::ranges::all_of(quota.scopes(),
                             [&](const std::string& scope) { return isInScope(scope, *pod); }) &&
         std::ranges::all_of(wanted, [&](const auto& one) { return matches(one, *pod); });
}

std::string missingRequests(const corev1::Pod& pod, const std::set<std::string>& resources) {
  std::map<std::string, std::set<std::string>> missing;
  const auto visit = [&](const corev1::Container& container) {
    ResourceList said;
    addCompute(toResourceList(container.resources().requests()),
               toResourceList(container.resources().limits()), said);
    for (const auto& name : resources) {
      if (contains(kRequired, name) && !said.contains(name)) missing[name].insert(container.name());
    }
  };
  for (const auto& container : pod.spec().containers()) visit(container);
  for (const auto& container : pod.spec().initcontainers()) visit(container);
  std::string text;
  for (const auto& [resource, containers] : missing) {
    text += (text.empty() ? "" : "; ") + resource + " for: ";
    for (const auto& name : containers) text += (name == *containers.begin() ? "" : ",") + name;
  }
  return text;
}

bool isScope(std::string_view scope) {
  constexpr std::array<std::string_view, 6> kScopes{"Terminating",   "NotTerminating",
                                                    "BestEffort",    "NotBestEffort",
                                                    "PriorityClass", "CrossNamespacePodAffinity"};
  return contains(kScopes, scope);
}

bool isComputeQuotaResource(std::string_view resource) {
  return isPodResource(resource) && resource != "pods";
}

bool scopeCovers(std::string_view scope, std::string_view resource) {
  if (resource == "pods") return true;
  return scope != "BestEffort" && isComputeQuotaResource(resource);
}

}  // namespace podlab::api
