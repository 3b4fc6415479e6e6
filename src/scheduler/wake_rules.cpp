#include "scheduler/wake_rules.hpp"

#include <algorithm>
#include <array>
#include <functional>

namespace podlab::scheduler {
namespace {

constexpr std::array<std::string_view, 9> kNames{
    "NodeUnschedulable",  "TaintToleration",   "NodeAffinity",
    "NodePorts",          "NodeResourcesFit",  "VolumeBinding",
    "VolumeRestrictions", "PodTopologySpread", "InterPodAffinity"};

/// Bits of kNames.
enum : FilterSet {
  kPorts = 1 << 3,
  kResources = 1 << 4,
  kVolumeRestrictions = 1 << 6,
  kSpread = 1 << 7,
  kPodAffinity = 1 << 8,
};

template <typename Map, typename Projection = std::identity>
bool sameMap(const Map& a, const Map& b, Projection value = {}) {
  return a.size() == b.size() && std::ranges::all_of(a, [&](const auto& entry) {
           const auto found = b.find(entry.first);
           return found != b.end() && value(found->second) == value(entry.second);
         });
}

bool matchesTerms(const std::vector<PodAffinityTerm>& terms, const PodShape& pod,
                  const NamespaceLabels& namespaces) {
  return std::ranges::any_of(terms, [&](const PodAffinityTerm& term) {
    return term.matches(pod.ns, pod.labels, namespaces);
  });
}

/// Whether the coming or going of the event's pod can turn what the waiting one's filters count.
bool concerns(const ClusterEvent& event, const PodInfo& waiting, FilterSet filters,
              const NamespaceLabels& namespaces) {
  const PodInfo& other = *event.pod;
  const bool isGone = (event.kinds & ClusterEvent::kPodRemoved) != 0;
  const PodShape& theirs = *other.shape;
  const PodShape& own = *waiting.shape;
  const auto counts = [&theirs](const SpreadConstraint& constraint) {
    return constraint.isHard && constraint.matches(theirs.labels);
  };
  if ((filters & kSpread) != 0 && theirs.ns == own.ns &&
      std::ranges::any_of(own.terms.spread, counts))
    return true;
  // When the last pod goes that others want to be near to, the next may be the first of its group.
  if ((filters & kPodAffinity) != 0 &&
      (matchesTerms(own.terms.affinity, theirs, namespaces) ||
       (isGone && (matchesTerms(own.terms.antiAffinity, theirs, namespaces) ||
                   matchesTerms(theirs.terms.antiAffinity, own, namespaces)))))
    return true;
  const auto& exclusive = waiting.volumes.exclusive;
  return (filters & kVolumeRestrictions) != 0 &&
         std::ranges::any_of(other.claims, [&exclusive](const std::string& claim) {
           return std::ranges::find(exclusive, claim) != exclusive.end();
         });
}

/// What the node's own filters say without the pods that the waiting one may preempt.
Rejection rejectAtLeast(const PodInfo& waiting, const NodeInfo& node) {
  const auto yields = [&waiting](const auto& pod) { return pod->priority < waiting.priority; };
  if (!waiting.preempts || std::ranges::none_of(node.pods(), yields))
    return runFilters(waiting, node);
  NodeInfo least = node;
  for (const auto& pod : node.pods()) {
    if (yields(pod)) least.remove(pod->key);
  }
  return runFilters(waiting, least);
}

constexpr std::uint32_t kNodeChanged = ClusterEvent::kNodeAdded | ClusterEvent::kNodeAllocatable |
                                       ClusterEvent::kNodeLabels | ClusterEvent::kNodeTaints;

/// The filters that count over nodes or pods, whose answer for some node may turn to yes.
FilterSet topologyHelpedBy(std::uint32_t kinds) {
  using enum ClusterEvent::Kind;
  FilterSet set = 0;
  if ((kinds & (kNodeAdded | kNodeRemoved | kNodeLabels | kPodAdded | kPodRemoved)) != 0)
    set |= kSpread | kPodAffinity;
  if ((kinds & kNodeTaints) != 0) set |= kSpread;
  if ((kinds & kPodRemoved) != 0) set |= kVolumeRestrictions;
  if ((kinds & kNamespaceLabels) != 0) set |= kPodAffinity;
  return set;
}

}  // namespace

FilterSet filterBit(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  return found == kNames.end() ? 0 : 1U << (found - kNames.begin());
}

FilterSet filtersOf(const std::vector<NodeVerdict>& verdicts) {
  FilterSet set = 0;
  for (const auto& verdict : verdicts) set |= filterBit(verdict.rejection.filter);
  return set;
}

std::uint32_t changesOf(const corev1::Node& before, const corev1::Node& now) {
  std::uint32_t changes = 0;
  if (!sameMap(before.metadata().labels(), now.metadata().labels()))
    changes |= ClusterEvent::kNodeLabels;
  const auto sameTaint = [](const corev1::Taint& a, const corev1::Taint& b) {
    return a.key() == b.key() && a.value() == b.value() && a.effect() == b.effect();
  };
  if (before.spec().unschedulable() != now.spec().unschedulable() ||
      !std::ranges::equal(before.spec().taints(), now.spec().taints(), sameTaint))
    changes |= ClusterEvent::kNodeTaints;
  const auto text = [](const auto& quantity) { return quantity.string(); };
  if (!sameMap(before.status().allocatable(), now.status().allocatable(), text))
    changes |= ClusterEvent::kNodeAllocatable;
  return changes;
}

bool mayHelp(const ClusterEvent& event, const PodInfo& waiting, FilterSet& rejectedBy,
             const Snapshot& snapshot) {
  const FilterSet helped = topologyHelpedBy(event.kinds) & rejectedBy;
  if (event.pod == nullptr && helped != 0) return true;
  if (event.pod != nullptr && concerns(event, waiting, helped, snapshot.namespaces())) return true;
  // Whatever kept the pod from this node before: a change of the node may have put something else
  // in its place.
  const bool isChanged = (event.kinds & kNodeChanged) != 0;
  const bool isFreed =
      (event.kinds & ClusterEvent::kPodRemoved) != 0 && (rejectedBy & (kPorts | kResources)) != 0;
  if (event.slot == Snapshot::kNoSlot || !(isChanged || isFreed)) return false;
  const NodeInfo& node = snapshot.at(event.slot);
  if (node.node() == nullptr) return false;
  const Rejection rejection = rejectAtLeast(waiting, node);
  rejectedBy |= filterBit(rejection.filter);
  return rejection.filter.empty();
}

}  // namespace podlab::scheduler
