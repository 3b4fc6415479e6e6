#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/object.hpp"

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
};

/// What the scheduler needs of a pod, computed once.
struct PodInfo {
  explicit PodInfo(PodPtr pod, VolumeNeeds needs = {});

  PodPtr pod;       ///< null once it is bound: there is nothing to decide
  std::string key;  ///< "namespace/name"
  Resources requests;
  /// For scores: containers that request no cpu or memory count as 100m and 200Mi (kube-scheduler's
  /// util.DefaultMilliCPURequest and DefaultMemoryRequest).
  std::int64_t scoredCpuMilli = 0;
  std::int64_t scoredMemoryBytes = 0;
  std::vector<HostPort> hostPorts;
  VolumeNeeds volumes;
  std::vector<std::string> claims;  ///< keys of all that it uses
};

}  // namespace podlab::scheduler
