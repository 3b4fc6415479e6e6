#include "api/conditions.hpp"
#include "api/kinds/pod_parts.hpp"
#include "api/kinds/rows.hpp"
#include "api/pod_resources.hpp"

namespace podlab::api {
namespace {

using corev1::Pod;

void prepareForCreate(Pod& pod) {
  pod.clear_status();
  pod.mutable_status()->set_phase("Pending");
  pod.mutable_status()->set_qosclass(qosClass(pod));
}

/// A pod that no node runs needs no time to end.
std::int64_t deletionGraceSeconds(const Pod& pod) {
  if (pod.spec().nodename().empty() || isFinished(pod)) return 0;
  const std::int64_t seconds = pod.spec().terminationgraceperiodseconds();
  return seconds < 0 ? 1 : seconds;
}

void takeEphemeralContainers(const google::protobuf::Message& wanted,
                             google::protobuf::Message& next) {
  *static_cast<Pod&>(next).mutable_spec()->mutable_ephemeralcontainers() =
      static_cast<const Pod&>(wanted).spec().ephemeralcontainers();
}

template <typename F>
auto label(std::string_view name, F read) {
  return std::pair<std::string_view, std::function<std::string(const google::protobuf::Message&)>>(
      name, reads<Pod>(std::move(read)));
}

}  // namespace

Kind podKind() {
  return {
      .group = "",
      .version = "v1",
      .kind = "Pod",
      .plural = "pods",
      .singular = "pod",
      .shortNames = {"po"},
      .categories = {"all"},
      .scope = Scope::kNamespaced,
      .prototype = &Pod::default_instance(),
      .columns = podColumns(),
      .strategy = {.hasStatus = true,
                   .hasGeneration = true,
                   .applyDefaults = writes<Pod>(applyPodDefaults),
                   .prepareForCreate = writes<Pod>(prepareForCreate),
                   .validate = reads<Pod>(validatePod),
                   .validateUpdate = compares<Pod>(validatePodUpdate),
                   .validateStatusUpdate = compares<Pod>(validatePodStatusUpdate),
                   .parts = {{.subresource = "ephemeralcontainers",
                              .take = takeEphemeralContainers,
                              .validate = compares<Pod>(validateEphemeralContainers)}},
                   .fieldLabels =
                       {label("spec.nodeName",
                              [](const Pod& pod) { return pod.spec().nodename(); }),
                        label("spec.restartPolicy",
                              [](const Pod& pod) { return pod.spec().restartpolicy(); }),
                        label("spec.schedulerName",
                              [](const Pod& pod) { return pod.spec().schedulername(); }),
                        label("spec.serviceAccountName",
                              [](const Pod& pod) { return pod.spec().serviceaccountname(); }),
                        label("spec.hostNetwork",
                              [](const Pod& pod) {
                                return std::string(pod.spec().hostnetwork() ? "true" : "false");
                              }),
                        label("status.phase", [](const Pod& pod) { return pod.status().phase(); }),
                        label("status.podIP", [](const Pod& pod) { return pod.status().podip(); }),
                        label("status.nominatedNodeName",
                              [](const Pod& pod) { return pod.status().nominatednodename(); })},
                   .deletionGraceSeconds = reads<Pod>(deletionGraceSeconds)},
      .actions =
          {{.name = "log", .verb = "get", .group = "", .version = "v1", .kind = "Pod"},
           {.name = "exec",
            .verb = "create,get",
            .group = "",
            .version = "v1",
            .kind = "PodExecOptions"},
           {.name = "attach",
            .verb = "create,get",
            .group = "",
            .version = "v1",
            .kind = "PodAttachOptions"},
           {.name = "portforward",
            .verb = "create,get",
            .group = "",
            .version = "v1",
            .kind = "PodPortForwardOptions"},
           {.name = "binding", .verb = "create", .group = "", .version = "v1", .kind = "Binding"},
           {.name = "eviction",
            .verb = "create",
            .group = "policy",
            .version = "v1",
            .kind = "Eviction"}},
  };
}

}  // namespace podlab::api
