#include "scheduler/pod_terms.hpp"

#include <algorithm>

#include "api/node_labels.hpp"

namespace podlab::scheduler {
namespace {

/// The keys narrow the selector down to (`In`), or to other than (`NotIn`), the pod's own values.
void addLabelKeys(const google::protobuf::RepeatedPtrField<std::string>& keys, const char* op,
                  const api::Labels& labels, metav1::LabelSelector& selector) {
  for (const auto& key : keys) {
    const auto label = labels.find(key);
    if (label == labels.end()) continue;
    auto& expression = *selector.add_matchexpressions();
    expression.set_key(key);
    expression.set_operator_(op);
    expression.add_values(label->second);
  }
}

std::optional<api::LabelSelector> selectorOf(const metav1::LabelSelector& selector) {
  auto parsed = api::LabelSelector::of(selector);
  if (!parsed) return std::nullopt;
  return std::move(*parsed);
}

PodAffinityTerm readTerm(const corev1::PodAffinityTerm& source, const corev1::Pod& pod) {
  PodAffinityTerm term;
  term.topologyKey = source.topologykey();
  if (source.has_labelselector()) {
    metav1::LabelSelector selector = source.labelselector();
    const auto& labels = pod.metadata().labels();
    addLabelKeys(source.matchlabelkeys(), "In", labels, selector);
    addLabelKeys(source.mismatchlabelkeys(), "NotIn", labels, selector);
    term.selector = selectorOf(selector);
  }
  term.namespaces = {source.namespaces().begin(), source.namespaces().end()};
  if (source.has_namespaceselector()) {
    term.namespaceSelector = selectorOf(source.namespaceselector());
  } else if (term.namespaces.empty()) {
    term.namespaces.insert(pod.metadata().namespace_());
  }
  return term;
}

SpreadConstraint readConstraint(const corev1::TopologySpreadConstraint& source,
                                const api::Labels& labels) {
  SpreadConstraint constraint;
  constraint.topologyKey = source.topologykey();
  constraint.maxSkew = source.maxskew();
  constraint.minDomains = source.has_mindomains() ? source.mindomains() : 1;
  constraint.isHard = source.whenunsatisfiable() == "DoNotSchedule";
  if (source.has_labelselector()) {
    metav1::LabelSelector selector = source.labelselector();
    addLabelKeys(source.matchlabelkeys(), "In", labels, selector);
    constraint.selector = selectorOf(selector);
  }
  constraint.honorsAffinity = source.nodeaffinitypolicy() != "Ignore";
  constraint.honorsTaints = source.nodetaintspolicy() == "Honor";
  return constraint;
}

SpreadConstraint defaultConstraint(std::string_view key, std::int64_t maxSkew,
                                   const api::LabelSelector& selector) {
  SpreadConstraint constraint;
  constraint.topologyKey = key;
  constraint.maxSkew = maxSkew;
  constraint.isHard = false;
  constraint.selector = selector;
  return constraint;
}

}  // namespace

bool PodAffinityTerm::matches(const std::string& ns, const api::Labels& labels,
                              const NamespaceLabels& namespaceLabels) const {
  if (!selector) return false;
  if (!namespaces.contains(ns)) {
    if (!namespaceSelector) return false;
    const auto found = namespaceLabels.find(ns);
    static const api::Labels kNone;
    if (!namespaceSelector->matches(found == namespaceLabels.end() ? kNone : found->second))
      return false;
  }
  return selector->matches(labels);
}

bool PodTerms::matchesAffinity(const std::string& ns, const api::Labels& labels,
                               const NamespaceLabels& namespaceLabels) const {
  return std::ranges::all_of(affinity, [&](const PodAffinityTerm& term) {
    return term.matches(ns, labels, namespaceLabels);
  });
}

PodTerms readTerms(const corev1::Pod& pod,
                   const std::optional<api::LabelSelector>& defaultSelector) {
  PodTerms terms;
  const auto& affinity = pod.spec().affinity();
  for (const auto& term : affinity.podaffinity().requiredduringschedulingignoredduringexecution())
    terms.affinity.push_back(readTerm(term, pod));
  for (const auto& term :
       affinity.podantiaffinity().requiredduringschedulingignoredduringexecution())
    terms.antiAffinity.push_back(readTerm(term, pod));
  for (const auto& weighted :
       affinity.podaffinity().preferredduringschedulingignoredduringexecution())
    terms.preferred.push_back({weighted.weight(), readTerm(weighted.podaffinityterm(), pod)});
  for (const auto& weighted :
       affinity.podantiaffinity().preferredduringschedulingignoredduringexecution())
    terms.preferred.push_back({-weighted.weight(), readTerm(weighted.podaffinityterm(), pod)});
  for (const auto& constraint : pod.spec().topologyspreadconstraints())
    terms.spread.push_back(readConstraint(constraint, pod.metadata().labels()));
  if (terms.spread.empty() && defaultSelector && !defaultSelector->empty()) {
    terms.spread = {defaultConstraint(api::kHostnameLabel, 3, *defaultSelector),
                    defaultConstraint(api::kZoneLabel, 5, *defaultSelector)};
    terms.spreadIsDefault = true;
  }
  return terms;
}

}  // namespace podlab::scheduler
