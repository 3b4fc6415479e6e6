#include "scheduler/default_selector.hpp"

#include <algorithm>

#include "apps_v1.pb.h"
#include "core_v1_services.pb.h"
#include "core_v1_workloads.pb.h"

namespace podlab::scheduler {
namespace {

bool selects(const api::Labels& selector, const corev1::Pod& pod) {
  const auto& labels = pod.metadata().labels();
  return !selector.empty() && std::ranges::all_of(selector, [&labels](const auto& wanted) {
    const auto label = labels.find(wanted.first);
    return label != labels.end() && label->second == wanted.second;
  });
}

void add(const api::Labels& labels, metav1::LabelSelector& selector) {
  for (const auto& [key, value] : labels) (*selector.mutable_matchlabels())[key] = value;
}

void add(const metav1::LabelSelector& more, metav1::LabelSelector& selector) {
  add(more.matchlabels(), selector);
  selector.mutable_matchexpressions()->MergeFrom(more.matchexpressions());
}

}  // namespace

std::optional<api::LabelSelector> defaultSelector(const corev1::Pod& pod,
                                                  const std::vector<api::ObjectPtr>& services,
                                                  const api::ObjectPtr& owner) {
  metav1::LabelSelector selector;
  for (const auto& object : services) {
    const auto& service = api::as<corev1::Service>(object);
    if (service.metadata().namespace_() == pod.metadata().namespace_() &&
        selects(service.spec().selector(), pod))
      add(service.spec().selector(), selector);
  }
  if (const auto* set = dynamic_cast<const appsv1::ReplicaSet*>(owner.get()))
    add(set->spec().selector(), selector);
  if (const auto* set = dynamic_cast<const appsv1::StatefulSet*>(owner.get()))
    add(set->spec().selector(), selector);
  if (const auto* set = dynamic_cast<const corev1::ReplicationController*>(owner.get()))
    add(set->spec().selector(), selector);
  auto parsed = api::LabelSelector::of(selector);
  if (!parsed || parsed->empty()) return std::nullopt;
  return std::move(*parsed);
}

}  // namespace podlab::scheduler
