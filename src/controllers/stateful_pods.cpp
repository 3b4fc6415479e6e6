#include "controllers/stateful_pods.hpp"

#include <algorithm>
#include <charconv>

#include "api/owners.hpp"
#include "controllers/controller_history.hpp"
#include "controllers/owned_pods.hpp"

namespace podlab::controllers {
namespace {

constexpr const char* kPodName = "statefulset.kubernetes.io/pod-name";
constexpr const char* kPodIndex = "apps.kubernetes.io/pod-index";

bool setLabel(corev1::Pod& pod, const char* name, const std::string& value) {
  std::string& present = (*pod.mutable_metadata()->mutable_labels())[name];
  if (present == value) return false;
  present = value;
  return true;
}

std::string claimName(const appsv1::StatefulSet& set,
                      const corev1::PersistentVolumeClaim& claimTemplate, std::int32_t ordinal) {
  return claimTemplate.metadata().name() + "-" + statefulPodName(set, ordinal);
}

/// Whether the owners changed.
bool setOwner(metav1::ObjectMeta& metadata, const google::protobuf::Message& owner, bool wanted) {
  auto& owners = *metadata.mutable_ownerreferences();
  const auto found =
      std::ranges::find(owners, api::meta(owner).uid(), &metav1::OwnerReference::uid);
  if ((found != owners.end()) == wanted) return false;
  if (wanted) {
    metav1::OwnerReference reference = api::controllerReference(owner);
    reference.clear_controller();
    reference.clear_blockownerdeletion();
    *owners.Add() = std::move(reference);
  } else {
    owners.erase(found);
  }
  return true;
}

}  // namespace

std::optional<std::int32_t> ordinalOf(const appsv1::StatefulSet& set,
                                      const google::protobuf::Message& pod) {
  std::string_view name = api::meta(pod).name();
  const std::string prefix = set.metadata().name() + "-";
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  std::int32_t ordinal = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), ordinal);
  if (error != std::errc() || end != name.data() + name.size() || name.front() == '-')
    return std::nullopt;
  return ordinal;
}

std::string statefulPodName(const appsv1::StatefulSet& set, std::int32_t ordinal) {
  return set.metadata().name() + "-" + std::to_string(ordinal);
}

corev1::Pod statefulPod(const appsv1::StatefulSet& set, const corev1::PodTemplateSpec& pod,
                        const std::string& revision, std::int32_t ordinal) {
  corev1::Pod made = podOf(pod, set);
  made.mutable_metadata()->clear_generatename();
  made.mutable_metadata()->set_name(statefulPodName(set, ordinal));
  setIdentity(made, ordinal);
  setLabel(made, kRevisionHash, revision);
  corev1::PodSpec& spec = *made.mutable_spec();
  spec.set_hostname(made.metadata().name());
  spec.set_subdomain(set.spec().servicename());
  if (set.spec().servicename().empty()) spec.clear_subdomain();
  // A claim's volume takes the place of one of the same name.
  auto& volumes = *spec.mutable_volumes();
  for (const auto& claim : set.spec().volumeclaimtemplates()) {
    const std::string& name = claim.metadata().name();
    const auto found = std::ranges::find(volumes, name, &corev1::Volume::name);
    corev1::Volume& volume = found == volumes.end() ? *volumes.Add() : *found;
    volume.Clear();
    volume.set_name(name);
    volume.mutable_volumesource()->mutable_persistentvolumeclaim()->set_claimname(
        claimName(set, claim, ordinal));
  }
  return made;
}

std::string revisionOf(const corev1::Pod& pod) {
  const auto found = pod.metadata().labels().find(kRevisionHash);
  return found == pod.metadata().labels().end() ? "" : found->second;
}

bool setIdentity(corev1::Pod& pod, std::int32_t ordinal) {
  const bool named = setLabel(pod, kPodName, pod.metadata().name());
  return setLabel(pod, kPodIndex, std::to_string(ordinal)) || named;
}

corev1::PersistentVolumeClaim statefulClaim(const appsv1::StatefulSet& set,
                                            const corev1::PersistentVolumeClaim& claimTemplate,
                                            std::int32_t ordinal) {
  corev1::PersistentVolumeClaim claim = claimTemplate;
  claim.clear_status();
  auto& metadata = *claim.mutable_metadata();
  metadata.set_name(claimName(set, claimTemplate, ordinal));
  metadata.set_namespace_(set.metadata().namespace_());
  for (const auto& [key, value] : set.spec().selector().matchlabels())
    (*metadata.mutable_labels())[key] = value;
  return claim;
}

bool setClaimOwners(corev1::PersistentVolumeClaim& claim, const appsv1::StatefulSet& set,
                    const corev1::Pod* pod, bool condemned) {
  const auto& policy = set.spec().persistentvolumeclaimretentionpolicy();
  const bool withPod = policy.whenscaled() == "Delete" && condemned;
  const bool withSet = policy.whendeleted() == "Delete" && !withPod;
  auto& metadata = *claim.mutable_metadata();
  bool changed = setOwner(metadata, set, withSet);
  if (pod != nullptr) changed = setOwner(metadata, *pod, withPod) || changed;
  return changed;
}

bool isStale(const corev1::PersistentVolumeClaim& claim, const std::string& pod,
             const std::string& uid) {
  return std::ranges::any_of(claim.metadata().ownerreferences(), [&](const auto& owner) {
    return owner.kind() == "Pod" && owner.name() == pod && owner.uid() != uid;
  });
}

}  // namespace podlab::controllers
