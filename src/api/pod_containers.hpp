#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.hpp"

namespace podlab::api {

/// What a container declares of its standard streams.
struct ContainerStreams {
  bool stdin = false;
  bool stdinOnce = false;
  bool tty = false;
};
/// Of an init, ordinary or ephemeral container; nullopt when the pod has none of this name.
std::optional<ContainerStreams> containerStreams(const corev1::PodSpec& pod, std::string_view name);
/// Likewise; nullptr while there is no status of it.
const corev1::ContainerStatus* containerStatus(const corev1::PodStatus& pod, std::string_view name);
/// All names: init containers, ordinary ones, ephemeral ones.
std::vector<std::string> containerNames(const corev1::PodSpec& pod);
/// The container that is meant where none is named: that of the annotation
/// kubectl.kubernetes.io/default-container, or the first.
std::string defaultContainer(const corev1::Pod& pod);

}  // namespace podlab::api
