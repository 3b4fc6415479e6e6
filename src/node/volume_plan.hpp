#pragma once
#include <functional>
#include <string>
#include <vector>

#include "api/persistent_volumes.hpp"
#include "node/downward_api.hpp"
#include "node/pod_volumes.hpp"

namespace podlab::node {

/// What a plan is made from, besides the pod.
struct VolumeContext {
  const PodEnvironment& environment;
  const ObjectLookup& objects;  ///< of the pod's namespace, and PersistentVolumes
  const corev1::Node& node;     ///< with the node's labels and annotations
  /// Whether another pod of this node uses the claim.
  const std::function<bool(const std::string& claim)>& usedElsewhere;
  /// See DownwardValues::token.
  const std::function<Result<std::string>(const corev1::ServiceAccountTokenProjection&)>& token;
};

/// How to make each volume of the pod. A failure is a message for an event, in kubelet's words:
/// kUnavailable when the server has not told all yet, kNotFound when something is missing, and
/// comes with a change of an object; kConflict while another pod has what only one may have. Files
/// that are not known yet are left out of the specs.
Result<std::vector<VolumeSpec>> planVolumes(const corev1::Pod& pod, const VolumeContext& context);

/// Whether containers may only read the volume, whatever their mounts say.
bool isReadOnly(const corev1::VolumeSource& source);

/// An emptyDir on disk that may not grow beyond a limit.
struct DiskLimit {
  std::string volume;
  std::int64_t bytes = 0;
  std::string text;  ///< as the pod says it
};
std::vector<DiskLimit> diskLimits(const corev1::PodSpec& spec);

/// The name of the volume to which the claim is bound; kNotFound in kubelet's words while it is
/// not.
Result<std::string> boundVolume(const std::string& claim, const ObjectLookup& objects);

}  // namespace podlab::node
