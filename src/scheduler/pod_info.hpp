#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/object.hpp"
#include "scheduler/pod_terms.hpp"

namespace podlab::scheduler {

using PodPtr = std::shared_ptr<const corev1::Pod>;
using NodePtr = std::shared_ptr<const corev1::Node>;

/// Amounts of a node's resources. CPU in thousandths, memory in bytes, the others in whole units.
struct Resources {
  std::int64_t cpuMilli = 0;
  std::int64_t memoryBytes = 0;
  std::map<std::string, std::int64_t> others;

  Resources& operator+=(const Resources& other);
  Resources& operator-=(const Resources& other);
  bool operator==(const Resources&) const = default;
};

/// A port that a pod takes of its node's own address. An empty host address is all addresses.
struct HostPort {
  std::string hostIp;
  std::string protocol;
  std::int32_t port = 0;
  bool conflictsWith(const HostPort& other) const;
  bool operator==(const HostPort&) const = default;
};

/// A claim that gets its volume where its pod goes.
struct UnboundClaim {
  std::string name;                          ///< in the pod's namespace
  bool anywhere = false;                     ///< there is a volume that any node can have
  std::vector<corev1::NodeSelector> places;  ///< otherwise one of these must allow the node
};

/// What a pod's claims ask of its node.
struct VolumeNeeds {
  std::string blocked;                           ///< why no node will do as yet; empty: one may
  std::vector<corev1::NodeSelector> affinities;  ///< each volume's, that all must allow the node
  std::vector<UnboundClaim> unbound;
  std::vector<std::string> exclusive;  ///< keys of claims that no other pod may use

  bool empty() const {
    return blocked.empty() && affinities.empty() && unbound.empty() && exclusive.empty();
  }
};

/// All of a pod that decides where it may go, and how it counts for others, but for its volumes:
/// what the pods of one template have in common.
struct PodShape {
  /// What the scheduler reads of a pod, and nothing else: equal bytes are equal shapes.
  static std::string keyOf(const corev1::Pod& pod,
                           const std::optional<api::LabelSelector>& defaultSelector);
  PodShape(const corev1::Pod& pod, const std::optional<api::LabelSelector>& defaultSelector);

  std::string key;  ///< keyOf() without a default selector: what counts for other pods
  std::string ns;
  api::Labels labels;
  corev1::PodSpec spec;  ///< nodeName, nodeSelector, node affinity and tolerations only
  Resources requests;
  bool requestsNothing = false;
  /// For scores: containers that request no cpu or memory count as 100m and 200Mi (kube-scheduler's
  /// util.DefaultMilliCPURequest and DefaultMemoryRequest).
  std::int64_t scoredCpuMilli = 0;
  std::int64_t scoredMemoryBytes = 0;
  std::vector<HostPort> hostPorts;
  std::vector<std::string> images;  ///< of its containers, with their tags
  PodTerms terms;
};

/// Hands out one shape for all pods that are alike. Shapes live as long as pods have them.
class PodShapes {
 public:
  std::shared_ptr<const PodShape> of(const corev1::Pod& pod,
                                     const std::optional<api::LabelSelector>& defaultSelector = {});

 private:
  std::unordered_map<std::string, std::weak_ptr<const PodShape>> shapes_;
  std::size_t sweepAt_ = 1024;
};

/// What the scheduler needs of a pod, computed once.
struct PodInfo {
  /// With a shape of its own, or one of `shapes`.
  explicit PodInfo(PodPtr pod, VolumeNeeds needs = {}, PodShapes* shapes = nullptr,
                   const std::optional<api::LabelSelector>& defaultSelector = {});

  PodPtr pod;       ///< null once it is bound: there is nothing to decide
  std::string key;  ///< "namespace/name"
  std::shared_ptr<const PodShape> shape;
  std::int32_t priority = 0;
  bool preempts = true;         ///< preemptionPolicy is not Never
  std::int64_t generation = 0;  ///< of its spec; 0: unknown
  bool isTerminating = false;
  std::int64_t startedAt = 0;  ///< startOf()
  VolumeNeeds volumes;
  std::vector<std::string> claims;  ///< keys of all that it uses
};

/// Seconds since 1970; the largest number before the pod has started.
std::int64_t startOf(const corev1::Pod& pod);

/// "name" as "name:latest" (imagelocality: normalizedImageName).
std::string withTag(const std::string& image);

}  // namespace podlab::scheduler
