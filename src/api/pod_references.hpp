#pragma once
#include <string>
#include <vector>

#include "api/kinds.hpp"
#include "api/object.hpp"

namespace podlab::api {

/// An object in a pod's namespace that the pod's node reads to run it.
struct PodReference {
  const Kind* kind = nullptr;  ///< ConfigMap, Secret or PersistentVolumeClaim
  std::string name;
  auto operator<=>(const PodReference&) const = default;
};

/// What the pod's environment variables and volumes refer to: each object once,
/// sorted.
std::vector<PodReference> referencesOf(const corev1::Pod& pod);

}  // namespace podlab::api
