#include "controllers/pod_facts.hpp"

#include <utility>

#include "controllers/object_index.hpp"
#include "controllers/owned_pods.hpp"

namespace podlab::controllers {
namespace {

std::string onlyOwnerOf(const corev1::Pod& pod) {
  return ownerOf(pod).front();
}

}  // namespace

PodFactsIndex::PodFactsIndex(client::Informer& pods) {
  client::Informer::Handlers handlers;
  handlers.added = [this](const api::ObjectPtr& pod) { add(api::as<corev1::Pod>(pod)); };
  handlers.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    const auto& pod = api::as<corev1::Pod>(now);
    if (const auto& had = api::as<corev1::Pod>(before); onlyOwnerOf(had) != onlyOwnerOf(pod))
      remove(had);
    add(pod);
  };
  handlers.deleted = [this](const api::ObjectPtr& pod) { remove(api::as<corev1::Pod>(pod)); };
  pods.addHandlers(std::move(handlers));
}

const PodFactsIndex::Pods& PodFactsIndex::of(const std::string& owner) const {
  static const Pods kNone;
  const auto found = owners_.find(owner);
  return found == owners_.end() ? kNone : found->second;
}

void PodFactsIndex::add(const corev1::Pod& pod) {
  Pods& pods = owners_[onlyOwnerOf(pod)];
  const api::Labels& labels = pod.metadata().labels();
  PodFacts facts{nullptr, isActive(pod), availableSince(pod, 0)};
  if (!pods.empty() && api::sameLabels(*pods.begin()->second.labels, labels)) {
    facts.labels = pods.begin()->second.labels;
  } else {
    facts.labels = std::make_shared<const api::Labels>(labels);
  }
  pods[api::keyOf(pod)] = std::move(facts);
}

void PodFactsIndex::remove(const corev1::Pod& pod) {
  const auto found = owners_.find(onlyOwnerOf(pod));
  if (found == owners_.end()) return;
  found->second.erase(api::keyOf(pod));
  if (found->second.empty()) owners_.erase(found);
}

}  // namespace podlab::controllers
