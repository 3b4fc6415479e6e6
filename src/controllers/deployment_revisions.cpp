#include "controllers/deployment_revisions.hpp"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <charconv>

#include "api/codec.hpp"
#include "api/owners.hpp"
#include "common/hash.hpp"

namespace podlab::controllers {
namespace {

using appsv1::Deployment;
using appsv1::ReplicaSet;

constexpr std::size_t kMaxHistory = 2000;  ///< characters
constexpr std::string_view kNotCopied[] = {"kubectl.kubernetes.io/last-applied-configuration",
                                           kRevision,
                                           kRevisionHistory,
                                           kDesiredReplicas,
                                           kMaxReplicas,
                                           "deprecated.deployment.rollback.to"};

template <typename Number>
std::optional<Number> annotation(const ReplicaSet& set, const char* name) {
  const auto found = set.metadata().annotations().find(name);
  if (found == set.metadata().annotations().end()) return std::nullopt;
  const std::string& text = found->second;
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool setAnnotation(ReplicaSet& set, const std::string& name, const std::string& value) {
  auto& annotations = *set.mutable_metadata()->mutable_annotations();
  const auto found = annotations.find(name);
  if (found != annotations.end() && found->second == value) return false;
  annotations[name] = value;
  return true;
}

/// apimachinery's rand.SafeEncodeString.
std::string safeEncoded(const std::string& text) {
  constexpr std::string_view kSafe = "bcdfghjklmnpqrstvwxz2456789";
  std::string encoded;
  for (const char c : text) encoded += kSafe[static_cast<unsigned char>(c) % kSafe.size()];
  return encoded;
}

corev1::PodTemplateSpec withoutHash(corev1::PodTemplateSpec pod) {
  pod.mutable_metadata()->mutable_labels()->erase(kTemplateHash);
  return pod;
}

}  // namespace

std::string templateHash(const corev1::PodTemplateSpec& pod, std::int32_t collisions) {
  std::string text = api::toJson(pod);
  if (collisions > 0) text += std::to_string(collisions);
  const std::uint64_t hash = fnv1a(text);
  return safeEncoded(std::to_string(static_cast<std::uint32_t>(hash ^ (hash >> 32))));
}

bool sameTemplate(const corev1::PodTemplateSpec& a, const corev1::PodTemplateSpec& b) {
  return google::protobuf::util::MessageDifferencer::Equivalent(withoutHash(a), withoutHash(b));
}

ReplicaSetPtr findNewest(const Deployment& deployment, ReplicaSets sets) {
  sortByAge(sets);
  const auto found = std::ranges::find_if(sets, [&](const ReplicaSetPtr& set) {
    return sameTemplate(set->spec().template_(), deployment.spec().template_());
  });
  return found == sets.end() ? nullptr : *found;
}

ReplicaSet newSet(const Deployment& deployment) {
  const std::string hash =
      templateHash(deployment.spec().template_(), deployment.status().collisioncount());
  ReplicaSet set;
  auto& metadata = *set.mutable_metadata();
  auto& spec = *set.mutable_spec();
  *spec.mutable_template_() = deployment.spec().template_();
  auto& labels = *spec.mutable_template_()->mutable_metadata()->mutable_labels();
  labels[kTemplateHash] = hash;
  *spec.mutable_selector() = deployment.spec().selector();
  (*spec.mutable_selector()->mutable_matchlabels())[kTemplateHash] = hash;
  spec.set_replicas(0);
  spec.set_minreadyseconds(deployment.spec().minreadyseconds());
  metadata.set_name(deployment.metadata().name() + "-" + hash);
  metadata.set_namespace_(deployment.metadata().namespace_());
  *metadata.mutable_labels() = labels;
  *metadata.add_ownerreferences() = api::controllerReference(deployment);
  return set;
}

std::int64_t revisionOf(const ReplicaSet& set) {
  return annotation<std::int64_t>(set, kRevision).value_or(0);
}
std::optional<std::int32_t> desiredReplicas(const ReplicaSet& set) {
  return annotation<std::int32_t>(set, kDesiredReplicas);
}
std::optional<std::int32_t> maxReplicas(const ReplicaSet& set) {
  return annotation<std::int32_t>(set, kMaxReplicas);
}

bool noteReplicas(ReplicaSet& set, const Deployment& deployment) {
  const std::int32_t replicas = deployment.spec().replicas();
  const std::int64_t most = replicas + maxSurge(deployment);
  const bool changed = setAnnotation(set, kDesiredReplicas, std::to_string(replicas));
  return setAnnotation(set, kMaxReplicas, std::to_string(most)) || changed;
}

bool noteRevision(ReplicaSet& set, const Deployment& deployment, std::int64_t revision) {
  bool changed = false;
  for (const auto& [name, value] : deployment.metadata().annotations()) {
    if (std::ranges::find(kNotCopied, name) == std::end(kNotCopied))
      changed |= setAnnotation(set, name, value);
  }
  const std::int64_t before = revisionOf(set);
  if (before >= revision) return changed;
  setAnnotation(set, kRevision, std::to_string(revision));
  if (before == 0) return true;
  // An older revision that has come back: it keeps what it was.
  auto& history = (*set.mutable_metadata()->mutable_annotations())[kRevisionHistory];
  if (!history.empty()) history += ',';
  history += std::to_string(before);
  while (history.size() > kMaxHistory) history.erase(0, history.find(',') + 1);
  return true;
}

}  // namespace podlab::controllers
