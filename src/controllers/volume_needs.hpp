#pragma once
#include <functional>
#include <string>
#include <vector>

#include "api/object.hpp"
#include "scheduler/pod_info.hpp"

namespace podlab::controllers {

/// Where what pods' volumes refer to is looked up: nullptr when it does not exist.
struct VolumeObjects {
  std::function<api::ObjectPtr(const std::string& key)> claim;  ///< by "namespace/name"
  std::function<api::ObjectPtr(const std::string& name)> volume;
  std::function<api::ObjectPtr(const std::string& name)> storageClass;
  std::function<std::vector<api::ObjectPtr>()> volumes;  ///< all
};

/// What the claims of a pod that looks for a node ask of it, in the words of kube-scheduler's
/// VolumeBinding.
scheduler::VolumeNeeds volumeNeeds(const corev1::Pod& pod, const VolumeObjects& objects);

}  // namespace podlab::controllers
