#pragma once
// Objects of the size that clusters have, as clients and agents write them.
#include <string>
#include <string_view>

namespace podlab::bench {

/// `text` with each "%" replaced.
inline std::string filled(std::string_view text, std::string_view with) {
  std::string out;
  for (const char c : text) c == '%' ? out.append(with) : out.append(1, c);
  return out;
}

inline std::string nodeNamed(std::string_view name) {
  return filled(R"({"metadata":{"name":"%","labels":{"kubernetes.io/arch":"amd64",
"kubernetes.io/hostname":"%","kubernetes.io/os":"linux","podlab.io/volumes":"80b8bec4fc9ddf93"},
"annotations":{"podlab.io/pod-mtu":"1450","podlab.io/vxlan-mac":"0e:58:ac:1d:00:0b"}}})",
                name);
}

/// What an agent says of its node.
inline std::string nodeStatus(std::string_view name) {
  std::string conditions;
  for (const char* type : {"MemoryPressure", "DiskPressure", "PIDPressure", "Ready"}) {
    const bool ready = std::string_view(type) == "Ready";
    conditions += conditions.empty() ? "" : ",";
    conditions += R"({"type":")" + std::string(type) + R"(","status":")" +
                  (ready ? "True" : "False") +
                  R"(","reason":"KubeletHasSufficient","message":"kubelet has sufficient of it",)"
                  R"("lastHeartbeatTime":"2026-01-01T00:00:00Z",)"
                  R"("lastTransitionTime":"2026-01-01T00:00:00Z"})";
  }
  return filled(R"({"status":{"addresses":[{"type":"InternalIP","address":"172.29.0.11"},
{"type":"Hostname","address":"%"}],"capacity":{"cpu":"16","memory":"64Gi","pods":"110"},
"allocatable":{"cpu":"16","memory":"64Gi","pods":"110"},"nodeInfo":{"architecture":"amd64",
"bootID":"0f2756fe-6b05-46a1-9cfb-59b93aa33346","containerRuntimeVersion":"crun://1.8.1",
"kernelVersion":"6.18.44","kubeProxyVersion":"","kubeletVersion":"podlab-0.1.0",
"machineID":"3d1219c7c4c5404aaa1f6d2a48adfda4","operatingSystem":"linux",
"osImage":"Debian GNU/Linux 12","systemUUID":""
},"conditions":[)",
                name) +
         conditions + "]}}";
}

/// Of a pod of a web server; with labels.
inline constexpr std::string_view kPodTemplate =
    R"({"metadata":{%"labels":{"app":"web"}},
"spec":{"containers":[{"name":"web","image":"docker.io/library/nginx:1.25","ports":[{"name":"http",
"containerPort":80}],"env":[{"name":"LOG_LEVEL","value":"info"},{"name":"POD_NAME","valueFrom":{
"fieldRef":{"fieldPath":"metadata.name"}}}],"resources":{"requests":{"cpu":"10m","memory":"32Mi"},
"limits":{"memory":"64Mi"}},"readinessProbe":{"httpGet":{"path":"/","port":"http"}}}]}})";

inline std::string podNamed(const std::string& name) {
  return filled(kPodTemplate, R"("name":")" + name + R"(",)");
}

inline std::string deploymentOf(const std::string& name, int replicas) {
  return R"({"metadata":{"name":")" + name + R"("},"spec":{"replicas":)" +
         std::to_string(replicas) + R"(,"selector":{"matchLabels":{"app":"web"}},"template":)" +
         filled(kPodTemplate, "") + "}}";
}

/// What an agent says of a pod, first when it has come to it and then when it runs.
inline std::string podStatus(bool runs) {
  std::string conditions;
  for (const char* type : {"Initialized", "Ready", "ContainersReady", "PodScheduled"}) {
    const bool isTrue = runs || std::string_view(type).ends_with("ed");
    conditions += conditions.empty() ? "" : ",";
    conditions += R"({"type":")" + std::string(type) + R"(","status":")" +
                  (isTrue ? "True" : "False") + R"(","lastTransitionTime":"2026-01-01T00:00:00Z"})";
  }
  std::string status = R"({"status":{"phase":")" + std::string(runs ? "Running" : "Pending") +
                       R"(","hostIP":"172.29.0.11","startTime":"2026-01-01T00:00:00Z",)"
                       R"("qosClass":"Burstable","conditions":[)" +
                       conditions +
                       R"(],"containerStatuses":[{"name":"web","restartCount":0,)"
                       R"("image":"docker.io/library/nginx:1.25",)";
  if (!runs)
    return status + R"("imageID":"","ready":false,"state":{"waiting":{
"reason":"ContainerCreating"}}}]}})";
  return status + R"("ready":true,"started":true,
"imageID":"sha256:a8758716bb6aa4d90071160d27028fe4eaee7ce8166221a97d30440c8eac2be6",
"containerID":"crun://e4c7fcbd6ac1a4bd6a7d9d7e5e0a4d6c2f41a9f3","state":{"running":{
"startedAt":"2026-01-01T00:00:00Z"}}}],"podIP":"10.244.1.17","podIPs":[{"ip":"10.244.1.17"}]}})";
}

}  // namespace podlab::bench
