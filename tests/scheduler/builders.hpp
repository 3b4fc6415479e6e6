#pragma once
#include <map>
#include <string>

#include "scheduler/pod_info.hpp"

namespace podlab::scheduler {

/// A node with `cpu`, `memory` and room for `pods`.
inline std::shared_ptr<corev1::Node> makeNode(const std::string& name, const std::string& cpu = "4",
                                              const std::string& memory = "32Gi",
                                              const std::string& pods = "110") {
  auto node = std::make_shared<corev1::Node>();
  node->mutable_metadata()->set_name(name);
  auto& allocatable = *node->mutable_status()->mutable_allocatable();
  allocatable["cpu"].set_string(cpu);
  allocatable["memory"].set_string(memory);
  allocatable["pods"].set_string(pods);
  return node;
}

/// A pod of two containers, of which the first requests `cpu` and `memory` (empty: nothing).
inline std::shared_ptr<corev1::Pod> makePod(const std::string& name, const std::string& cpu = "",
                                            const std::string& memory = "") {
  auto pod = std::make_shared<corev1::Pod>();
  pod->mutable_metadata()->set_name(name);
  pod->mutable_metadata()->set_namespace_("default");
  pod->mutable_metadata()->set_uid("uid-" + name);
  auto* app = pod->mutable_spec()->add_containers();
  app->set_name("app");
  if (!cpu.empty()) (*app->mutable_resources()->mutable_requests())["cpu"].set_string(cpu);
  if (!memory.empty()) (*app->mutable_resources()->mutable_requests())["memory"].set_string(memory);
  pod->mutable_spec()->add_containers()->set_name("sidecar");
  return pod;
}

}  // namespace podlab::scheduler
