#include "api/pod_containers.hpp"

namespace podlab::api {
namespace {

/// Calls `visit` with each container, also the ephemeral ones, whose message is another.
template <typename Visit>
void forEachContainer(const corev1::PodSpec& pod, const Visit& visit) {
  for (const auto& container : pod.initcontainers()) visit(container);
  for (const auto& container : pod.containers()) visit(container);
  for (const auto& container : pod.ephemeralcontainers())
    visit(container.ephemeralcontainercommon());
}

}  // namespace

std::optional<ContainerStreams> containerStreams(const corev1::PodSpec& pod,
                                                 std::string_view name) {
  std::optional<ContainerStreams> found;
  forEachContainer(pod, [&](const auto& container) {
    if (container.name() == name)
      found = ContainerStreams{container.stdin(), container.stdinonce(), container.tty()};
  });
  return found;
}

const corev1::ContainerStatus* containerStatus(const corev1::PodStatus& pod,
                                               std::string_view name) {
  for (const auto* list : {&pod.containerstatuses(), &pod.initcontainerstatuses(),
                           &pod.ephemeralcontainerstatuses()}) {
    for (const auto& status : *list) {
      if (status.name() == name) return &status;
    }
  }
  return nullptr;
}

std::vector<std::string> containerNames(const corev1::PodSpec& pod) {
  std::vector<std::string> names;
  forEachContainer(pod, [&](const auto& container) { names.push_back(container.name()); });
  return names;
}

std::string defaultContainer(const corev1::Pod& pod) {
  const auto& annotations = pod.metadata().annotations();
  const auto named = annotations.find("kubectl.kubernetes.io/default-container");
  if (named != annotations.end()) return named->second;
  return pod.spec().containers_size() > 0 ? pod.spec().containers(0).name() : "";
}

}  // namespace podlab::api
