#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/selectors.hpp"

namespace podlab::scheduler {

/// The labels of namespaces, by name: what namespace selectors are held against.
using NamespaceLabels = std::map<std::string, api::Labels>;

/// One term of a pod's affinity or anti-affinity: pods near to, or far from, which it wants to be.
struct PodAffinityTerm {
  std::string topologyKey;
  std::optional<api::LabelSelector> selector;  ///< none: matches no pod
  std::set<std::string> namespaces;            ///< the pod's own when the term names none
  std::optional<api::LabelSelector> namespaceSelector;

  bool matches(const std::string& ns, const api::Labels& labels,
               const NamespaceLabels& namespaceLabels) const;
};

struct WeightedPodAffinityTerm {
  std::int64_t weight = 0;  ///< negative for anti-affinity
  PodAffinityTerm term;
};

/// One of a pod's topology spread constraints: how evenly pods like it are to lie over domains.
struct SpreadConstraint {
  std::string topologyKey;
  std::int64_t maxSkew = 1;
  std::int64_t minDomains = 1;
  bool isHard = true;                          ///< DoNotSchedule
  std::optional<api::LabelSelector> selector;  ///< none: matches no pod
  bool honorsAffinity = true;                  ///< nodeAffinityPolicy
  bool honorsTaints = false;                   ///< nodeTaintsPolicy

  bool matches(const api::Labels& labels) const { return selector && selector->matches(labels); }
};

/// All that relates a pod to other pods. A term with a malformed selector matches nothing.
struct PodTerms {
  std::vector<PodAffinityTerm> affinity;      ///< required
  std::vector<PodAffinityTerm> antiAffinity;  ///< required
  std::vector<WeightedPodAffinityTerm> preferred;
  std::vector<SpreadConstraint> spread;
  /// The constraints are the defaults: nodes without one of the keys count too.
  bool spreadIsDefault = false;

  /// Whether all required affinity is about such a pod.
  bool matchesAffinity(const std::string& ns, const api::Labels& labels,
                       const NamespaceLabels& namespaceLabels) const;
  bool empty() const {
    return affinity.empty() && antiAffinity.empty() && preferred.empty() && spread.empty();
  }
};

/// What the pod's spec says. `defaultSelector` selects the pods of the same Services and owner; a
/// pod without constraints of its own is spread among these (podtopologyspread/plugin.go:
/// systemDefaultConstraints).
PodTerms readTerms(const corev1::Pod& pod,
                   const std::optional<api::LabelSelector>& defaultSelector);

}  // namespace podlab::scheduler
